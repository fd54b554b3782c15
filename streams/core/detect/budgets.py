"""Monthly allowances."""

from __future__ import annotations

from dataclasses import dataclass

from streams.core.sums import SeriesKey


@dataclass(frozen=True, slots=True)
class Budget:
    """What a team, project or person may spend in a calendar month (UTC)."""

    series: SeriesKey
    usd: float = 0.0
