"""The commands of `spendstream`, one file each."""
