"""Sums of a window while they are under way, and the window they make: mutable and lean, for the hot path.

`ticks` has them as they stand on Kafka; `to_wire` and `from_wire` are how checkpoints hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from schemas.records import Meter
from schemas.watch import DIMENSIONS, SUMS

ZERO = Decimal(0)

SeriesKey = tuple[tuple[str, str], ...]
"""A series' name as sorted (dimension, value) pairs: hashable, and the same wherever it is made."""


@dataclass(slots=True)
class Sums:
    """What a part of a window adds up to, in the order of `schemas.watch.SUMS`. Costs are effective costs in USD."""

    usd: Decimal = ZERO
    output_usd: Decimal = ZERO
    cache_read_usd: Decimal = ZERO
    gpu_minutes: Decimal = ZERO
    idle_usd: Decimal = ZERO
    metered_usd: Decimal = ZERO
    unallocated_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO
    events: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    unpriced_events: int = 0

    def add(self, other: Sums) -> None:
        """Add the other's sums to these."""
        self.usd += other.usd
        self.events += other.events
        if other.requests:  # only what counts requests counts tokens
            self.output_usd += other.output_usd
            self.cache_read_usd += other.cache_read_usd
            self.requests += other.requests
            self.input_tokens += other.input_tokens
            self.output_tokens += other.output_tokens
            self.cache_read_input_tokens += other.cache_read_input_tokens
        if other.gpu_minutes:
            self.gpu_minutes += other.gpu_minutes
            self.idle_usd += other.idle_usd
            self.metered_usd += other.metered_usd
        if other.unallocated_usd:
            self.unallocated_usd += other.unallocated_usd
        if other.unpriced_events:
            self.unpriced_events += other.unpriced_events
            self.at_risk_usd += other.at_risk_usd

    def to_wire(self) -> list[int | str]:
        """By position, as `schemas.watch.SUMS` has it."""
        return [
            str(self.usd) if self.usd else 0,
            str(self.output_usd) if self.output_usd else 0,
            str(self.cache_read_usd) if self.cache_read_usd else 0,
            str(self.gpu_minutes) if self.gpu_minutes else 0,
            str(self.idle_usd) if self.idle_usd else 0,
            str(self.metered_usd) if self.metered_usd else 0,
            str(self.unallocated_usd) if self.unallocated_usd else 0,
            str(self.at_risk_usd) if self.at_risk_usd else 0,
            self.events,
            self.requests,
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.unpriced_events,
        ]

    @classmethod
    def from_wire(cls, wire: list[Any]) -> Sums:
        """The reverse of `to_wire`. Raises ValueError on a list of another length."""
        if len(wire) != len(SUMS):
            raise ValueError(f"sums must be a list of {len(SUMS)}")
        usd, output, cached, gpu, idle, metered, unallocated, at_risk, *counts = wire
        return cls(  # spelt out: half the time of a loop
            Decimal(usd) if usd else ZERO,
            Decimal(output) if output else ZERO,
            Decimal(cached) if cached else ZERO,
            Decimal(gpu) if gpu else ZERO,
            Decimal(idle) if idle else ZERO,
            Decimal(metered) if metered else ZERO,
            Decimal(unallocated) if unallocated else ZERO,
            Decimal(at_risk) if at_risk else ZERO,
            *counts,
        )


@dataclass(slots=True)
class Window:
    """One window of one series."""

    meter: Meter
    series: SeriesKey
    start: int  # epoch seconds UTC
    seconds: int
    sums: Sums
    cells: list[tuple[SeriesKey, Sums]] = field(default_factory=list)
    aligned: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """Epoch seconds UTC, exclusive."""
        return self.start + self.seconds


def count_in(into: dict[int, int], aligned: Mapping[int, int]) -> None:
    """Add to how many events end a bucket, by the bucket's width."""
    for step, count in aligned.items():
        into[step] = into.get(step, 0) + count


def utc(seconds: float) -> datetime:
    """Epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


_RANK = {name: rank for rank, name in enumerate(DIMENSIONS)}


def series_key(series: dict[str, str]) -> SeriesKey:
    """The key of a series given by name."""
    return tuple(sorted(series.items(), key=lambda item: _RANK[item[0]]))
