"""Watching series: from merged windows to findings."""
