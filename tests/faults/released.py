"""The last release, as a folder to run its workers from. It runs in this environment, by what its own code asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.faults.workers import ROOT

RELEASED = "911a287d8d9b833a5b371ca6c2661a393e8fccbe"  # the last of format 2


def missing() -> str | None:
    """What is not here that it takes; None when nothing is."""
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{RELEASED}^{{commit}}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return "git"
    return f"the history back to {RELEASED[:7]} (git fetch --unshallow)" if done.returncode else None


def unpacked(folder: Path) -> Path:
    """The folder, made when it is asked for first."""
    if not folder.exists():
        folder.mkdir()
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", RELEASED], capture_output=True, check=True)  # noqa: S603, S607
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)  # noqa: S603, S607
    return folder
