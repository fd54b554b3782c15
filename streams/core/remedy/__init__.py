"""Remedies that this service may run itself: proposed by policies, kept in a ledger, measured afterwards."""
