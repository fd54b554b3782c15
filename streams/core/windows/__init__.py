"""From charges to the sums of a series and window."""
