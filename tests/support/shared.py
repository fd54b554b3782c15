"""The real data and benchmarks beside the project, used in place."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "shared"


def shared(name: str) -> Path:
    """A folder of the shared material; the test skips, saying so, where it is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not beside the project")
    return path
