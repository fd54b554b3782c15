"""From what stages wrote to rows that stand once."""
