"""Backtests: what would have been caught, how soon, how noisily, and by which settings."""
