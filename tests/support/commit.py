"""Which code a figure was made with: what `make bench` and `make faults` write beside theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("schemas", "streams", "replay", "tests")
CHANGED = " and changes"


def commit() -> str:
    """The commit, and whether the code was changed since; a page that figures are written to is no code."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    same = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *CODE], check=False).returncode == 0  # noqa: S603
    return (head.stdout.strip() or "no commit") + ("" if same else CHANGED)
