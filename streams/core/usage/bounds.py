"""The limits of what comes from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an event may be at most."""

    max_record_bytes: int = 1_048_576
    max_record_events: int = 10_000
    max_future: timedelta = timedelta(days=1)
    oldest_year: int = 2000
    latest_year: int = 2080
