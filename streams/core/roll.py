"""The `roll` stage's decision: sums per (series, window, source partition), closed by event time.

A window closes when its source partition's watermark (the newest event time seen) passes its end plus the grace. What
comes later is counted late and not watched; it is priced and landed all the same. Nothing here reads a clock: silence
is told to `quiet`, with the time.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.records import METER_BY_TYPE, Meter
from schemas.topics import TOPIC_BY_EVENT_TYPE
from schemas.watch import DIMENSIONS
from streams.core.block import Block, Mask, Whole
from streams.core.packed import ChargeBatch
from streams.core.parts import LEAF, Leaf, cells
from streams.core.sums import Origin, SeriesKey, Sums, Tick, Watermark, Window, series_key

METER_BY_TOPIC: dict[str, Meter] = {topic.name: METER_BY_TYPE[kind] for kind, topic in TOPIC_BY_EVENT_TYPE.items()}
MOST_LEAD_SECONDS = 1.25  # what it may take a record to be read and the next pulse to come, which is due each second
CLOCK_SLACK_SECONDS = 0.25  # what a record takes to the broker, beside the grace, before the clock closes a window
HOUR, DAY = 3600, 86_400
STEPS = (60, 300, HOUR, DAY)  # the buckets that sources report by; see Tick.aligned
MAX_HOLES = 1000  # gaps that never fill (compaction, transaction markers) must not grow without bound
MICROS = 1_000_000
FLOOD = "(too many)"  # the principal that the parts beyond `max_leaves` are summed under

Pace = tuple[Meter, int]


@dataclass(frozen=True, slots=True)
class RollRules:
    """Widths and graces in seconds of event time."""

    windows: dict[Meter, int]
    graces: dict[Meter, float]
    series: tuple[tuple[str, ...], ...]
    dedup_seconds: float = 3600.0  # 0 where whoever calls sees to it that each event comes once
    max_cells: int = 24
    max_leaves: int = 50_000
    idle_seconds: float = 10.0
    follow_clock_within_seconds: float = 300.0


@dataclass(slots=True)
class _Open:
    """A window under way: its finest parts, and how its events stand to the clock."""

    leaves: dict[Leaf, Sums] = field(default_factory=dict)
    aligned: dict[Leaf, dict[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Source:
    """What is known of one source partition."""

    high_water: int = -1  # the last source offset taken in: a redelivered record is at or below it
    holes: list[tuple[int, int]] = field(default_factory=list)  # offsets below it that have not come (first, last)
    watermark: dict[Meter, float] = field(default_factory=dict)
    closed: dict[Pace, int] = field(default_factory=dict)  # windows that end at or before are closed
    open: dict[Pace, dict[int, _Open]] = field(default_factory=dict)
    seen: dict[int, set[int]] = field(default_factory=dict)  # event identities by hour of event time
    heard: float = 0.0  # arrival of its last record, or when it was first known to be silent (epoch seconds)
    lead: float | None = None  # seconds by which who says "caught up" is ahead of that arrival; None: not said since
    quiet: bool = False  # said to be idle


class Roller:
    """Rolls the charges of one partition of `spend.charges`, which holds whole source partitions."""

    def __init__(self, rules: RollRules) -> None:
        self._rules = rules
        self._sources: dict[Origin, _Source] = {}
        self._known: dict[Leaf, tuple[SeriesKey, tuple[SeriesKey, ...]]] = {}
        self.late = 0
        self.duplicates = 0

    def expect(self, origin: Origin, meter: Meter) -> list[Watermark]:
        """Announce a source partition that may yet speak, so that nobody closes windows without it."""
        source = self._sources.setdefault(origin, _Source())
        if meter in source.watermark:
            return []
        return [Watermark(meter, pace[1], origin, 0) for pace in self._paces(meter)]

    def add(self, batch: ChargeBatch) -> list[Tick | Watermark]:
        """Take in the charges of some records; returns the windows that they closed, then their watermarks.

        What comes of the records is the same whether they come one by one or together.
        """
        origin = Origin(batch.topic, batch.partition)
        source = self._sources.setdefault(origin, _Source())
        if batch.caught_up_at is not None:
            return self._silent(origin, source, batch.caught_up_at.timestamp())
        block = batch.block
        if block.count:
            source.heard, source.quiet, source.lead = float(block.micros("received_at")[-1]) / MICROS, False, None
        block = block.where(_taken_in(source, batch))  # a redelivered record's sums are in already
        block = block.where(self._new(source, block))
        out: list[Tick | Watermark] = []
        for meter, rows in _by_meter(block):
            newest = self._put(source, meter, rows)
            if newest > source.watermark.get(meter, 0.0):
                source.watermark[meter] = newest
                out += self._close(origin, source, meter, newest - self._rules.graces[meter])
        return out

    def _silent(self, origin: Origin, source: _Source, now: float) -> list[Tick | Watermark]:
        """What closes when a source partition is known to hold nothing more at `now` (epoch seconds).

        Near to now the clock goes on in its stead. In a history it does not: there the partition is over once it has
        been silent for `idle_seconds`. A bill has no pace to follow.
        """
        meter = METER_BY_TOPIC.get(origin.topic)
        if meter is None or source.quiet:
            return []
        now -= _lead(source, now)
        watermark = source.watermark.get(meter)
        if (
            meter != "line_item"
            and watermark is not None
            and now - watermark <= self._rules.follow_clock_within_seconds
        ):
            return self._close(origin, source, meter, now - closing_delay(self._rules.graces[meter]))
        source.heard = source.heard or now
        if now - source.heard < self._rules.idle_seconds:
            return []
        source.quiet = True
        return self.quiet(origin, meter)

    def all_quiet(self) -> bool:
        """Whether every source partition is over: all windows are closed."""
        return all(source.quiet for source in self._sources.values())

    def quiet(self, origin: Origin, meter: Meter) -> list[Tick | Watermark]:
        """A source partition has fallen silent: close all its windows and say that nobody need wait for it."""
        source = self._sources.setdefault(origin, _Source())
        ends = [start + pace[1] for pace, spans in source.open.items() if pace[0] == meter for start in spans]
        out = self._close(origin, source, meter, max(ends, default=0))
        return out + [
            Watermark(meter, pace[1], origin, source.closed.get(pace, 0), idle=True) for pace in self._paces(meter)
        ]

    def flush(self) -> list[Tick | Watermark]:
        """The end of a history: close everything."""
        return [
            said
            for origin in sorted(self._sources, key=lambda o: (o.topic, o.partition))
            for meter in sorted(self._sources[origin].watermark)
            for said in self.quiet(origin, meter)
        ]

    def watermark(self, origin: Origin, meter: Meter) -> float | None:
        """The newest event time of a source partition (epoch seconds), or None when it never spoke."""
        source = self._sources.get(origin)
        return source.watermark.get(meter) if source else None

    def _paces(self, meter: Meter) -> tuple[Pace, ...]:
        if meter == "line_item":
            return (meter, HOUR), (meter, DAY)
        return ((meter, self._rules.windows[meter]),)

    def _new(self, source: _Source, block: Block) -> Mask:
        """The charges of events that were not seen within the dedup horizon, by event time."""
        fresh = np.ones(block.count, dtype=np.bool_)
        if not self._rules.dedup_seconds or not block.count:
            return fresh
        first = block.first_parts()
        keys = block.digests()[first]
        # An event that is sent twice carries the same time, so one hour's set is enough to look in.
        hours = block.micros("time")[first] // (HOUR * MICROS)
        new = np.ones(len(first), dtype=np.bool_)
        for hour in np.unique(hours).tolist():
            at = np.flatnonzero(hours == hour)
            bucket, here = source.seen.setdefault(hour, set()), keys[at].tolist()
            before = len(bucket)
            if not bucket.isdisjoint(here) or len(set(here)) < len(here):
                for place, key in zip(at.tolist(), here, strict=True):
                    new[place] = key not in bucket
                    bucket.add(key)
            else:
                bucket.update(here)
            self.duplicates += before + len(here) - len(bucket)
        return np.asarray(new[block.events()])

    def _put(self, source: _Source, meter: Meter, block: Block) -> float:
        """Add charges of one meter to their windows; returns the newest time (epoch seconds) among them."""
        times, starts, seconds = _places(meter, block, self._rules.windows)
        counted = seconds > 0  # a charge for a month or more is no pace to watch: it is landed, and budgets count it
        times = np.where(counted, times, 0.0)
        # A charge is late by what the records before its own have closed, however many come at once.
        newest = np.maximum.accumulate(times)
        first = np.searchsorted(block.records, block.records, side="left")
        known = np.maximum(np.where(first > 0, newest[first - 1], 0.0), source.watermark.get(meter, 0.0))
        until = known - self._rules.graces[meter]
        for pace in self._paces(meter):
            here = counted & (seconds == pace[1])
            closed = np.maximum(until // pace[1] * pace[1], source.closed.get(pace, 0))
            late = here & (starts + pace[1] <= closed)
            if late.any():
                self.late += int((late & (block.numbers("part") == 0)).sum())
                here &= ~late
            if here.any():
                self._add(source, pace, block.where(here), starts[here], times[here])
        return float(newest[-1])

    def _add(self, source: _Source, pace: Pace, block: Block, starts: Whole, times: Any) -> None:
        """Add charges to the windows of one pace that begin at `starts`."""
        for cell in cells(block, starts, _aligned(pace[0], times)):
            window = source.open.setdefault(pace, {}).setdefault(cell.start, _Open())
            leaf = cell.leaf
            if leaf not in window.leaves and len(window.leaves) >= self._rules.max_leaves:
                leaf = _flooded(leaf)
            window.leaves.setdefault(leaf, Sums()).add(cell.sums)
            aligned = window.aligned.setdefault(leaf, {})
            for step, count in cell.aligned.items():
                aligned[step] = aligned.get(step, 0) + count

    def _close(self, origin: Origin, source: _Source, meter: Meter, until: float) -> list[Tick | Watermark]:
        out: list[Tick | Watermark] = []
        for pace in self._paces(meter):
            boundary = int(until // pace[1]) * pace[1]
            if boundary <= source.closed.get(pace, 0):
                continue
            spans = source.open.get(pace, {})
            for start in sorted(start for start in spans if start + pace[1] <= boundary):
                out += self._ticks(origin, pace, start, spans.pop(start))
            source.closed[pace] = boundary
            out.append(Watermark(meter, pace[1], origin, boundary))
        self._forget(source)
        return out

    def _forget(self, source: _Source) -> None:
        horizon = max(source.watermark.values(), default=0.0) - self._rules.dedup_seconds
        for hour in [hour for hour in source.seen if (hour + 1) * HOUR < horizon]:
            del source.seen[hour]

    def _ticks(self, origin: Origin, pace: Pace, start: int, window: _Open) -> list[Tick]:
        by_series: dict[SeriesKey, Window] = {}
        leaves = [(*self._series_of(leaf), sums, window.aligned.get(leaf)) for leaf, sums in window.leaves.items()]
        leaves.sort(
            key=lambda leaf: (-leaf[2].usd, -leaf[2].at_risk_usd, leaf[0])
        )  # once for all series: see `dearest`
        most = self._rules.max_cells
        for key, all_series, sums, aligned in leaves:
            for series in all_series:
                into = by_series.get(series)
                if into is None:
                    into = by_series[series] = Window(pace[0], series, start, pace[1], Sums())
                into.sums.add(sums)
                if len(into.cells) < most:
                    into.cells.append((key, sums))
                for step, count in aligned.items() if aligned else ():
                    into.aligned[step] = into.aligned.get(step, 0) + count
        return [Tick(by_series[series], origin) for series in sorted(by_series)]

    def _series_of(self, leaf: Leaf) -> tuple[SeriesKey, tuple[SeriesKey, ...]]:
        """A leaf's own name, and the series that it is part of. Remembered: it is asked for in every window."""
        known = self._known.get(leaf)
        if known is None:
            key = _named(leaf)
            values = dict(key)
            wanted = (names for names in self._rules.series if all(name in values for name in names))
            known = key, tuple(series_key({name: values[name] for name in names}) for names in wanted)
            if len(self._known) >= self._rules.max_leaves:
                self._known.clear()
            self._known[leaf] = known
        return known

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        return {
            "version": 2,
            "late": self.late,
            "duplicates": self.duplicates,
            "sources": [
                [origin.topic, origin.partition, _source_to_json(source)] for origin, source in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know.

        Version 1 knew events by other digests: an event of the hour before the upgrade that comes again is not known.
        """
        version = state.get("version")
        if version not in {1, 2}:
            raise ValueError(f"roll state of version {version!r} can't be read; this code reads versions 1 and 2")
        self.late, self.duplicates = state["late"], state["duplicates"]
        self._sources = {Origin(topic, part): _source_from_json(source) for topic, part, source in state["sources"]}
        for source in self._sources.values() if version == 1 else ():
            source.seen.clear()


def closing_delay(grace: float) -> float:
    """How many seconds after its end a window closes by the clock, where nothing newer closes it sooner."""
    return grace + CLOCK_SLACK_SECONDS


def _taken_in(source: _Source, batch: ChargeBatch) -> Mask:
    """The charges of records that have not been taken in yet, noting that they are now.

    `price` may deliver records after their followers when a send had to be repeated: the offsets that were jumped over
    are remembered, so that such records are neither lost nor counted twice.
    """
    records = batch.block.records
    fresh = records > source.high_water
    for first, last in source.holes:
        fresh |= (records >= first) & (records <= last)
    if batch.first <= source.high_water:
        source.holes = [piece for hole in source.holes for piece in _without(hole, batch.first, batch.last)]
    elif source.high_water >= 0 and batch.first > source.high_water + 1:
        source.holes = [*source.holes[1 - MAX_HOLES :], (source.high_water + 1, batch.first - 1)]
    source.high_water = max(source.high_water, batch.last)
    return fresh


def _without(hole: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    """What of a gap is left when the offsets from `first` to `last` are there."""
    pieces = [(hole[0], min(hole[1], first - 1)), (max(hole[0], last + 1), hole[1])]
    return [piece for piece in pieces if piece[0] <= piece[1]]


def _by_meter(block: Block) -> list[tuple[Meter, Block]]:
    """The charges of each meter, in the order in which the meters come."""
    if not block.count:
        return []
    coded, types = block.codes("type")
    return [(METER_BY_TYPE[types[code]], block.where(coded == code)) for code in dict.fromkeys(coded.tolist())]


def _lead(source: _Source, now: float) -> float:
    """By how many seconds the clock that `now` comes from is ahead, as far as that can be known.

    The first word of being caught up comes a moment after the newest record. Where it comes long after it, the clock
    is wrong (or there was a backlog): taken at its word it would close windows whose events are still on their way.
    """
    if source.lead is None:
        ahead = now - source.heard if source.heard else 0.0
        source.lead = ahead if ahead > MOST_LEAD_SECONDS else 0.0
    return source.lead


def dearest(cells: list[tuple[SeriesKey, Sums]], most: int) -> list[tuple[SeriesKey, Sums]]:
    """The cells of most dollars (then most at risk), dearest first; ties by name, so that a re-run cuts the same."""
    return sorted(cells, key=lambda cell: (-cell[1].usd, -cell[1].at_risk_usd, cell[0]))[:most]


_PRINCIPAL = LEAF.index("principal")


def _flooded(leaf: Leaf) -> Leaf:
    return (*leaf[:_PRINCIPAL], FLOOD, *leaf[_PRINCIPAL + 1 :])


def _named(leaf: Leaf) -> SeriesKey:
    return tuple((name, value) for name, value in zip(DIMENSIONS, leaf, strict=True) if value)


def _places(meter: Meter, block: Block, windows: dict[Meter, int]) -> tuple[Any, Whole, Whole]:
    """Each charge's time (epoch seconds), and start and width of its window; a width of 0 where it has none.

    A line item's window is its own charge period, and its time the period's start: all items of an hour end together,
    so the end of one would close the hour to its neighbours.
    """
    if meter != "line_item":
        time, seconds = block.micros("time"), np.full(block.count, windows[meter], dtype=np.int64)
    else:
        time = block.micros("period_start")
        length = block.micros("period_end") - time
        seconds = np.where(length <= HOUR * MICROS, HOUR, np.where(length <= DAY * MICROS, DAY, 0))
    width = np.maximum(seconds, 1)
    return time / MICROS, time // (width * MICROS) * width, seconds


def _aligned(meter: Meter, times: Any) -> dict[int, Mask]:
    """Which charges stand, to the second, at the end of a bucket, by its width. A bill's rows are not asked."""
    if meter == "line_item":
        return {}
    second = np.rint(times)
    on = np.abs(times - second) <= 0.0011  # bucket times stand on the second, or the millisecond before it
    found: dict[int, Mask] = {}
    for step in STEPS:
        on = on & (second % step == 0)
        if not on.any():
            break
        found[step] = on
    return found


def _source_to_json(source: _Source) -> dict[str, Any]:
    return {
        "high_water": source.high_water,
        "heard": source.heard,
        "quiet": source.quiet,
        "lead": source.lead,
        "holes": source.holes,
        "watermark": source.watermark,
        "closed": [[*pace, boundary] for pace, boundary in source.closed.items()],
        "open": [
            [
                *pace,
                start,
                [
                    [list(leaf), sums.to_wire(), list(window.aligned[leaf].items())]
                    for leaf, sums in window.leaves.items()
                ],
            ]
            for pace, spans in source.open.items()
            for start, window in spans.items()
        ],
        "seen": {
            str(hour): b64encode(array("Q", sorted(keys)).tobytes()).decode() for hour, keys in source.seen.items()
        },
    }


def _source_from_json(state: dict[str, Any]) -> _Source:
    source = _Source(high_water=state["high_water"], watermark=dict(state["watermark"]))
    source.heard, source.quiet, source.lead = state["heard"], state["quiet"], state.get("lead", 0.0)
    source.holes = [(first, last) for first, last in state["holes"]]
    source.closed = {(meter, seconds): boundary for meter, seconds, boundary in state["closed"]}
    for meter, seconds, start, leaves in state["open"]:
        window = source.open.setdefault((meter, seconds), {}).setdefault(start, _Open())
        for values, sums, aligned in leaves:
            window.leaves[tuple(values)] = Sums.from_wire(sums)
            window.aligned[tuple(values)] = dict(aligned)
    for hour, packed in state["seen"].items():
        keys = array("Q")
        keys.frombytes(b64decode(packed))
        source.seen[int(hour)] = set(keys)
    return source
