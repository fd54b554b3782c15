"""Sums of a window while they are under way, and the window they make: mutable and lean, for the hot path.

`schemas.watch` holds the contract of the same things as they stand on Kafka; `to_wire` and `from_wire` go between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from schemas.base import plain_decimal
from schemas.events import GPU_USAGE
from schemas.records import Charge, Meter, PriceStatus
from schemas.watch import DIMENSIONS

ZERO = Decimal(0)
MONEY = ("usd", "gpu_minutes", "idle_usd", "metered_usd", "unallocated_usd", "at_risk_usd")
COUNTS = ("events", "requests", "input_tokens", "output_tokens", "cache_read_input_tokens", "unpriced_events")

SeriesKey = tuple[tuple[str, str], ...]
"""A series' name as sorted (dimension, value) pairs: hashable, and the same wherever it is made."""


@dataclass(slots=True)
class Sums:
    """What a part of a window adds up to; see `schemas.watch.Sums` for the fields."""

    usd: Decimal = ZERO
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

    def add_charge(self, charge: Charge) -> None:
        """Add one charge. One without a price adds no dollars: it is counted, with its spend at risk."""
        usd = charge.effective_cost_usd
        self.events += charge.part == 0
        self.requests += charge.requests
        self.input_tokens += charge.input_tokens
        self.output_tokens += charge.output_tokens
        self.cache_read_input_tokens += charge.cache_read_input_tokens
        if charge.price_status is PriceStatus.UNPRICED:
            self.unpriced_events += charge.part == 0
            self.at_risk_usd += charge.estimated_cost or ZERO
        if charge.gpu_minutes is not None:
            self.gpu_minutes += charge.gpu_minutes
        if usd is None:
            return
        self.usd += usd
        if charge.allocation == "unallocated":
            self.unallocated_usd += usd
        if charge.type == GPU_USAGE and charge.utilization is not None:
            self.metered_usd += usd
            self.idle_usd += usd * (1 - Decimal(str(charge.utilization)))

    def to_wire(self) -> dict[str, Any]:
        """The non-zero sums: most are zero, and a record is made for every series and window."""
        wire: dict[str, Any] = {name: plain_decimal(value) for name in MONEY if (value := getattr(self, name))}
        wire.update((name, value) for name in COUNTS if (value := getattr(self, name)))
        return wire

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Sums:
        """The reverse of `to_wire`."""
        sums = cls()
        for name, value in wire.items():
            setattr(sums, name, Decimal(value) if name in MONEY else int(value))
        return sums


@dataclass(slots=True)
class Window:
    """One window of one series, as one source partition saw it or merged of all of them."""

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


@dataclass(frozen=True, slots=True)
class Origin:
    """A source partition, as a watermark names it."""

    topic: str
    partition: int


@dataclass(slots=True)
class Tick:
    """A closed window from one origin: an upsert."""

    window: Window
    origin: Origin


@dataclass(frozen=True, slots=True)
class Watermark:
    """All windows of this meter and width that end at or before `time` have been said by `origin`."""

    meter: Meter
    seconds: int
    origin: Origin
    time: int  # epoch seconds UTC
    idle: bool = False


def utc(seconds: float) -> datetime:
    """Epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


_RANK = {name: rank for rank, name in enumerate(DIMENSIONS)}


def series_key(series: dict[str, str]) -> SeriesKey:
    """The key of a series given by name."""
    return tuple(sorted(series.items(), key=lambda item: _RANK[item[0]]))


def tick_to_json(tick: Tick) -> bytes:
    """A tick as `schemas.watch.Tick` describes it."""
    window = tick.window
    return orjson.dumps(
        {
            "type": "tick",
            "meter": window.meter,
            "series": dict(window.series),
            "window_start": utc(window.start).isoformat(),
            "window_seconds": window.seconds,
            "topic": tick.origin.topic,
            "partition": tick.origin.partition,
            "sums": window.sums.to_wire(),
            "cells": [{"series": dict(key), "sums": sums.to_wire()} for key, sums in window.cells],
            "aligned": {str(step): count for step, count in window.aligned.items()},
        }
    )


def watermark_to_json(mark: Watermark) -> bytes:
    """A watermark as `schemas.watch.Watermark` describes it."""
    return orjson.dumps(
        {
            "type": "watermark",
            "meter": mark.meter,
            "window_seconds": mark.seconds,
            "topic": mark.origin.topic,
            "partition": mark.origin.partition,
            "time": utc(mark.time).isoformat(),
            "idle": mark.idle,
        }
    )


def from_json(value: bytes) -> Tick | Watermark:
    """What stands on `spend.ticks`. Raises ValueError or KeyError on what `roll` did not write."""
    wire = orjson.loads(value)
    origin = Origin(wire["topic"], wire["partition"])
    if wire["type"] == "watermark":
        time = int(datetime.fromisoformat(wire["time"]).timestamp())
        return Watermark(wire["meter"], wire["window_seconds"], origin, time, wire["idle"])
    window = Window(
        meter=wire["meter"],
        series=series_key(wire["series"]),
        start=int(datetime.fromisoformat(wire["window_start"]).timestamp()),
        seconds=wire["window_seconds"],
        sums=Sums.from_wire(wire["sums"]),
        cells=[(series_key(cell["series"]), Sums.from_wire(cell["sums"])) for cell in wire["cells"]],
        aligned={int(step): count for step, count in wire["aligned"].items()},
    )
    return Tick(window, origin)
