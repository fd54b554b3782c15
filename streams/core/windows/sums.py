"""Sums of a window while they are under way, and the window they make: mutable and lean, for the hot path.

`schemas.watch` holds the contract of the same things as they stand on Kafka; `to_wire` and `from_wire` go between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from schemas.records import Meter
from schemas.watch import DIMENSIONS, SUMS

ZERO = Decimal(0)

SeriesKey = tuple[tuple[str, str], ...]
"""A series' name as sorted (dimension, value) pairs: hashable, and the same wherever it is made.

On Kafka it is an object in the same order, so that reading it sorts nothing.
"""


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
    """One window of one series, as one partition of `spend.charges` has it or merged of all of them."""

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

    @property
    def alone(self) -> bool:
        """Whether its one part is known to be all of it: then the two share their sums, and neither may be changed."""
        return len(self.cells) == 1 and self.cells[0][1] is self.sums


class Origin(NamedTuple):
    """A partition that charges come from, as a watermark names it: of usage to `roll`, of `spend.charges` to others."""

    topic: str
    partition: int


@dataclass(slots=True)
class Tick:
    """A closed window from one origin: an upsert."""

    window: Window
    origin: Origin


@dataclass(frozen=True, slots=True)
class Watermark:
    """All windows of this meter and width that end at or before `time` have been said by `origin`.

    `over`: it speaks no more, and what it said of windows after that is said by another.
    """

    meter: Meter
    seconds: int
    origin: Origin
    time: int  # epoch seconds UTC
    idle: bool = False
    over: bool = False


def utc(seconds: float) -> datetime:
    """Epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


_RANK = {name: rank for rank, name in enumerate(DIMENSIONS)}


def series_key(series: dict[str, str]) -> SeriesKey:
    """The key of a series given by name."""
    return tuple(sorted(series.items(), key=lambda item: _RANK[item[0]]))


def ticks_to_json(ticks: Sequence[Tick]) -> bytes:
    """Ticks of one window and origin as `schemas.watch.Ticks` describes them. A part that several share stands once."""
    window, origin = ticks[0].window, ticks[0].origin
    parts: list[dict[str, Any]] = []
    place: dict[SeriesKey, int] = {}
    series: list[dict[str, Any]] = []
    for tick in ticks:
        here = []
        for key, sums in tick.window.cells:
            at = place.get(key)
            if at is None:
                at = place[key] = len(parts)
                parts.append({"series": dict(key), "sums": sums.to_wire()})
            here.append(at)
        aligned = {str(step): count for step, count in tick.window.aligned.items()}
        sums_on_wire = parts[here[0]]["sums"] if tick.window.alone else tick.window.sums.to_wire()
        series.append({"series": dict(tick.window.series), "sums": sums_on_wire, "parts": here, "aligned": aligned})
    return orjson.dumps(
        {
            "type": "ticks",
            "meter": window.meter,
            "window_start": utc(window.start).isoformat(),
            "window_seconds": window.seconds,
            "topic": origin.topic,
            "partition": origin.partition,
            "parts": parts,
            "ticks": series,
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
            "over": mark.over,
        }
    )


def from_json(value: bytes) -> list[Tick] | Watermark:
    """What stands on `spend.ticks`. Raises ValueError on what `roll` did not write."""
    try:
        return _from_json(value)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no tick and no watermark ({type(error).__name__})") from None


def _from_json(value: bytes) -> list[Tick] | Watermark:
    wire = orjson.loads(value)
    origin = Origin(wire["topic"], wire["partition"])
    if wire["type"] == "watermark":
        time = int(datetime.fromisoformat(wire["time"]).timestamp())
        return Watermark(wire["meter"], wire["window_seconds"], origin, time, wire["idle"], wire.get("over", False))
    meter, seconds = wire["meter"], wire["window_seconds"]
    start = int(datetime.fromisoformat(wire["window_start"]).timestamp())
    in_parts = wire["parts"]
    parts = [(tuple(part["series"].items()), Sums.from_wire(part["sums"])) for part in in_parts]
    ticks: list[Tick] = []
    for tick in wire["ticks"]:
        places = tick["parts"]
        alone = len(places) == 1 and tick["sums"] == in_parts[places[0]]["sums"]  # see `Window.alone`
        sums = parts[places[0]][1] if alone else Sums.from_wire(tick["sums"])
        aligned = {int(step): count for step, count in tick["aligned"].items()}
        cells = [parts[at] for at in places]
        ticks.append(Tick(Window(meter, tuple(tick["series"].items()), start, seconds, sums, cells, aligned), origin))
    return ticks
