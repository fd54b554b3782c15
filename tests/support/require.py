"""What a test needs beyond Python. Missing on a user's machine the test is skipped; in CI it fails."""

from __future__ import annotations

import os

import pytest


def in_ci() -> bool:
    """Whether this run is to prove everything, so that nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def require(condition: object, what: str) -> None:
    """Go on only with `condition`; `what` says what is missing and how to get it."""
    if condition:
        return
    if in_ci():
        pytest.fail(f"missing in CI: {what}", pytrace=False)
    pytest.skip(what)
