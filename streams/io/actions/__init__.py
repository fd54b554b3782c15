"""What remedies do outside: one system a file. Every call may be repeated."""
