"""What was charged, charged again: by new prices and rules, by a bill that came anew."""
