"""The `roll` stage's decision: sums per (series, window) of one partition of `spend.charges`, closed by event time.

A source partition closes a window when its watermark (the newest event time seen) passes the window's end plus the
grace; the window is told once all source partitions that may speak have closed it. What comes later is counted late
and not watched; it is priced and landed all the same. Nothing here reads a clock: silence comes as a pulse, with the
time.

An event lives in one partition of `spend.charges`, by its identity, so one memory of identities knows its copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.records import METER_BY_TYPE, Meter
from schemas.topics import CHARGES, TOPIC_BY_EVENT_TYPE
from streams.core.columns.block import Block, Mask, Whole, joined
from streams.core.columns.packed import ChargeBatch
from streams.core.windows.identities import Identities
from streams.core.windows.parts import LEAF, READ, cells
from streams.core.windows.sums import Sums, count_in
from streams.core.windows.ticks import Leaf, Origin, Part, PartName, Ticks, Watermark, key_of, part_name

METER_BY_TOPIC: dict[str, Meter] = {topic.name: METER_BY_TYPE[kind] for kind, topic in TOPIC_BY_EVENT_TYPE.items()}
MOST_LEAD_SECONDS = 1.25  # what it may take a record to be read and the next pulse to come, which is due each second
CLOCK_SLACK_SECONDS = 0.25  # what a record takes to the broker, beside the grace, before the clock closes a window
HOUR, DAY = 3600, 86_400
STEPS = (60, 300, HOUR, DAY)  # the buckets that sources report by; see Part.aligned
MAX_HOLES = 1000  # gaps that never fill (compaction, transaction markers) must not grow without bound
MICROS = 1_000_000
MOST_BEHIND = DAY  # how much longer than the horizon events are known where a source partition is that far behind
FLOOD = "(too many)"  # the principal that the parts beyond `max_leaves` are summed under

ROLLED = READ | {"type", "time", "period_start", "period_end"}  # the fields of charges that are looked at here

Pace = tuple[Meter, int]
Said = list[Ticks | Watermark]


@dataclass(frozen=True, slots=True)
class RollRules:
    """Widths and graces in seconds of event time."""

    windows: dict[Meter, int]
    graces: dict[Meter, float]
    series: tuple[tuple[str, ...], ...]
    dedup_seconds: float = 3600.0  # 0 where whoever calls sees to it that each event comes once
    max_leaves: int = 50_000
    idle_seconds: float = 10.0
    follow_clock_within_seconds: float = 300.0


@dataclass(slots=True)
class _Open:
    """A window under way: its finest parts, and how its events stand to the clock."""

    leaves: dict[Leaf, Sums] = field(default_factory=dict)
    aligned: dict[Leaf, dict[int, int]] = field(default_factory=dict)

    def add(self, leaf: Leaf, sums: Sums, aligned: Mapping[int, int]) -> None:
        """Add to a part. `aligned`: how many of its events end a bucket, by the bucket's width."""
        self.leaves.setdefault(leaf, Sums()).add(sums)
        count_in(self.aligned.setdefault(leaf, {}), aligned)


@dataclass(slots=True)
class _Source:
    """What is known of one source partition."""

    high_water: int = -1  # the last source offset taken in: a redelivered record is at or below it
    holes: list[tuple[int, int]] = field(default_factory=list)  # offsets below it that have not come (first, last)
    watermark: dict[Meter, float] = field(default_factory=dict)
    closed: dict[Pace, int] = field(default_factory=dict)  # windows that end at or before are closed to it
    ends: dict[Pace, int] = field(default_factory=dict)  # of the last window that it has something in
    heard: float = 0.0  # arrival of its last record, or when it was first known to be silent (epoch seconds)
    lead: float | None = None  # seconds by which who says "caught up" is ahead of that arrival; None: not said since
    quiet: set[Meter] = field(default_factory=set)  # nobody need wait for it


@dataclass(slots=True)
class _Lane:
    """One pace: the windows under way, and how far they are told."""

    open: dict[int, _Open] = field(default_factory=dict)
    released: int = 0  # windows that end at or before are told, or had nothing in them
    idle: bool = False  # nobody need wait for any source partition
    said: tuple[int, bool] = (0, False)  # of `released` and `idle`


@dataclass(slots=True)
class _Rows:
    """Charges that are to be added to the windows that begin at `starts`; `times` in epoch seconds."""

    block: Block
    starts: Whole
    times: Any


class Roller:
    """Rolls the charges of one partition of `spend.charges`."""

    def __init__(self, rules: RollRules, partition: int = 0) -> None:
        self._rules = rules
        self._origin = Origin(CHARGES.name, partition)
        self._sources: dict[Origin, _Source] = {}
        self._lanes: dict[Pace, _Lane] = {}
        self._seen: dict[Meter, dict[int, Identities]] = {}  # of events, by hour of event time
        self._taken_over: list[Watermark] = []
        self._known: dict[Leaf, PartName] = {}
        self.late = 0
        self.duplicates = 0

    def expect(self, origin: Origin, meter: Meter) -> None:
        """Wait for a source partition that may yet speak: no window is told without it."""
        source = self._sources.setdefault(origin, _Source())
        for pace in self._paces(meter):
            source.closed.setdefault(pace, 0)

    def add(self, *batches: ChargeBatch) -> Said:
        """Take in what stands in some records; returns the windows that they closed, then how far all is told.

        The windows are the same whether records come one by one or together; together they cost less.
        """
        rows: dict[Pace, list[_Rows]] = {}
        for batch in batches:
            for origin, at in (((Origin(one.topic, one.partition)), one.at.timestamp()) for one in batch.caught_up):
                self._silent(origin, self._sources.setdefault(origin, _Source()), at)
            if not batch.caught_up:
                self._take_in(batch, rows)
        for pace, pieces in rows.items():
            self._put(pace, pieces)
        return self._told()

    def _take_in(self, batch: ChargeBatch, rows: dict[Pace, list[_Rows]]) -> None:
        """Sort a batch's charges into `rows`, and note what its source partition closes by them."""
        source = self._sources.setdefault(Origin(batch.topic, batch.partition), _Source())
        block = batch.block
        if block.count:
            source.heard, source.lead = float(block.micros("received_at")[-1]) / MICROS, None
        # A redelivered record's sums are in already.
        block = block.only(ROLLED).where(_taken_in(source, batch))
        for meter, of_meter in _by_meter(block):
            source.quiet.discard(meter)
            newest = self._sort(source, meter, of_meter, rows)
            if newest > source.watermark.get(meter, 0.0):
                source.watermark[meter] = newest
                self._close(source, meter, newest - self._rules.graces[meter])
            else:
                self._release(meter)  # it may have been silent: the others wait for it again

    def _silent(self, origin: Origin, source: _Source, now: float) -> None:
        """A source partition is known to hold nothing more at `now` (epoch seconds).

        Near to now the clock goes on in its stead. In a history it does not: there the partition is over once it has
        been silent for `idle_seconds`. A bill has no pace to follow.
        """
        by_topic = METER_BY_TOPIC.get(origin.topic)
        if by_topic is None:
            return
        now -= _lead(source, now)
        for meter in sorted({by_topic, *source.watermark} - source.quiet):
            watermark = source.watermark.get(meter)
            if (
                meter != "line_item"
                and watermark is not None
                and now - watermark <= self._rules.follow_clock_within_seconds
            ):
                self._close(source, meter, now - closing_delay(self._rules.graces[meter]))
                continue
            source.heard = source.heard or now
            if now - source.heard >= self._rules.idle_seconds:
                self._over(source, meter)

    def all_quiet(self) -> bool:
        """Whether every source partition is over: all windows are closed."""
        return all(source.quiet and source.quiet >= source.watermark.keys() for source in self._sources.values())

    def quiet(self, origin: Origin, meter: Meter) -> Said:
        """A source partition has fallen silent: its windows are closed, and nobody need wait for it."""
        self._over(self._sources.setdefault(origin, _Source()), meter)
        return self._told()

    def flush(self) -> Said:
        """The end of a history: close everything."""
        for source in self._sources.values():
            for meter in dict.fromkeys(meter for meter, _ in source.closed):
                self._over(source, meter)
        return self._told()

    def watermark(self, origin: Origin, meter: Meter) -> float | None:
        """The newest event time of a source partition (epoch seconds), or None when it never spoke."""
        source = self._sources.get(origin)
        return source.watermark.get(meter) if source else None

    def _paces(self, meter: Meter) -> tuple[Pace, ...]:
        if meter == "line_item":
            return (meter, HOUR), (meter, DAY)
        return ((meter, self._rules.windows[meter]),)

    def _new(self, meter: Meter, block: Block, in_time: Mask) -> Mask:
        """The charges of events that were not seen within the dedup horizon, by event time.

        Seen is what came in time alone: an event may come late through one source partition before it comes in time
        through another.
        """
        if not self._rules.dedup_seconds:
            return np.ones(block.count, dtype=np.bool_)
        seen = self._seen.setdefault(meter, {})
        first = block.first_parts()
        keys = block.digests()[first]
        # An event that is sent twice carries the same time, so one hour's set is enough to look in.
        hours = block.micros("time")[first] // (HOUR * MICROS)
        new, in_time = np.ones(len(first), dtype=np.bool_), in_time[first]
        for hour in np.unique(hours).tolist():
            bucket = seen.setdefault(hour, Identities())
            late = np.flatnonzero((hours == hour) & ~in_time)
            new[late] = ~bucket.has(keys[late])
            at = np.flatnonzero((hours == hour) & in_time)
            new[at] = bucket.add(keys[at])
        self.duplicates += len(new) - int(new.sum())
        return np.asarray(new[block.events()])

    def _sort(self, source: _Source, meter: Meter, block: Block, rows: dict[Pace, list[_Rows]]) -> float:
        """Sort charges of one meter into `rows`, and leave out those that are late; returns the newest time of all.

        A charge is late by what the records before its own have closed, however many come at once, and where all have
        closed its window.
        """
        times, starts, seconds = _places(meter, block, self._rules.windows)
        counted = seconds > 0  # a charge for a month or more is no pace to watch: it is landed, and budgets count it
        times = np.where(counted, times, 0.0)
        newest = np.maximum.accumulate(times)
        first = np.searchsorted(block.records, block.records, side="left")
        known = np.maximum(np.where(first > 0, newest[first - 1], 0.0), source.watermark.get(meter, 0.0))
        until = known - self._rules.graces[meter]
        late = np.zeros(block.count, dtype=np.bool_)
        for pace in self._paces(meter):
            told = max(source.closed.get(pace, 0), self._lane(pace).released)
            closed = np.maximum(until // pace[1] * pace[1], told)
            late |= (seconds == pace[1]) & (starts + pace[1] <= closed)
        new = self._new(meter, block, counted & ~late)
        self.late += int((late & new & (block.numbers("part") == 0)).sum())
        for pace in self._paces(meter):
            here = (seconds == pace[1]) & new & ~late
            if here.any():
                rows.setdefault(pace, []).append(_Rows(block.where(here), starts[here], times[here]))
                source.ends[pace] = max(source.ends.get(pace, 0), int(starts[here].max()) + pace[1])
        return float(newest[-1])

    def _put(self, pace: Pace, rows: Sequence[_Rows]) -> None:
        """Add charges to the windows of one pace."""
        block = joined([piece.block for piece in rows])
        starts = np.concatenate([piece.starts for piece in rows])
        times = np.concatenate([piece.times for piece in rows])
        spans = self._lane(pace).open
        for cell in cells(block, starts, _aligned(pace[0], times)):
            window = spans.setdefault(cell.start, _Open())
            leaf = cell.leaf
            if leaf not in window.leaves and len(window.leaves) >= self._rules.max_leaves:
                leaf = _flooded(leaf)
            window.add(leaf, cell.sums, cell.aligned)

    def _lane(self, pace: Pace) -> _Lane:
        lane = self._lanes.get(pace)
        if lane is None:
            lane = self._lanes[pace] = _Lane()
        return lane

    def _over(self, source: _Source, meter: Meter) -> None:
        """Close all windows that a source partition has something in, and wait for it no longer."""
        source.quiet.add(meter)
        for pace in self._paces(meter):
            source.closed[pace] = max(source.closed.get(pace, 0), source.ends.get(pace, 0))
        self._release(meter)

    def _close(self, source: _Source, meter: Meter, until: float) -> None:
        """A source partition has passed `until`: the windows that end before it are closed to it."""
        for pace in self._paces(meter):
            source.closed[pace] = max(source.closed.get(pace, 0), int(until // pace[1]) * pace[1])
        self._release(meter)

    def _release(self, meter: Meter) -> None:
        """Note how far all source partitions that may speak have come."""
        for pace in self._paces(meter):
            lane = self._lane(pace)
            spoken = [source for source in self._sources.values() if pace in source.closed]
            awake = [source.closed[pace] for source in spoken if meter not in source.quiet]
            # With all silent the furthest counts: what they had is closed, and nobody is left to wait for.
            upto = min(awake) if awake else max((source.closed[pace] for source in spoken), default=0)
            lane.released, lane.idle = max(lane.released, upto), not awake
        self._forget(meter)

    def _forget(self, meter: Meter) -> None:
        """Forget the events that nobody can be waiting for the copies of."""
        times = [
            source.watermark[meter] for source in self._sources.values()
            if meter in source.watermark and meter not in source.quiet
        ]  # fmt: skip
        if not times:
            return
        seen, horizon = self._seen.get(meter, {}), max(min(times), max(times) - MOST_BEHIND) - self._rules.dedup_seconds
        for hour in [hour for hour in seen if (hour + 1) * HOUR < horizon]:
            del seen[hour]

    def _told(self) -> Said:
        """What is new: the windows that are complete here, in order of time, and then how far all is told."""
        said: Said = [*self._taken_over]
        self._taken_over.clear()
        for pace, lane in self._lanes.items():
            if lane.said == (lane.released, lane.idle):
                continue
            for start in sorted(start for start in lane.open if start + pace[1] <= lane.released):
                said.append(self._ticks(pace, start, lane.open.pop(start)))
            said.append(Watermark(*pace, self._origin, lane.released, idle=lane.idle))
            lane.said = lane.released, lane.idle
        return said

    def _ticks(self, pace: Pace, start: int, window: _Open) -> Ticks:
        """What counts in a series at all."""
        parts = [
            Part(name, sums, window.aligned.get(leaf) or {})
            for leaf, sums in window.leaves.items()
            if (name := self._name_of(leaf)).series
        ]
        return Ticks(*pace, start, self._origin, parts)

    def _name_of(self, leaf: Leaf) -> PartName:
        """Remembered: it is asked for in every window."""
        known = self._known.get(leaf)
        if known is None:
            values = dict(key_of(leaf))
            wanted = [names for names in self._rules.series if all(name in values for name in names)]
            if len(self._known) >= self._rules.max_leaves:
                self._known.clear()
            known = self._known[leaf] = part_name(leaf, wanted)
        return known

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        return {
            "version": 3,
            "late": self.late,
            "duplicates": self.duplicates,
            "sources": [
                [origin.topic, origin.partition, _source_to_json(source)] for origin, source in self._sources.items()
            ],
            "lanes": [[*pace, _lane_to_json(lane)] for pace, lane in self._lanes.items()],
            "seen": [[meter, hour, keys.packed()] for meter, seen in self._seen.items() for hour, keys in seen.items()],
            "taken_over": [[one.meter, one.seconds, *one.origin, one.time] for one in self._taken_over],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know.

        In versions 1 and 2 each source partition had windows of its own. Version 1 knew events by other digests: an
        event of the hour before the upgrade that comes again is not known.
        """
        version = state.get("version")
        if version not in {1, 2, 3}:
            raise ValueError(f"roll state of version {version!r} can't be read; this code reads versions 1 to 3")
        self.late, self.duplicates = state["late"], state["duplicates"]
        if version < 3:
            self._take_over(state["sources"], known=version == 2)
            return
        self._sources = {Origin(topic, part): _source_from_json(source) for topic, part, source in state["sources"]}
        self._lanes = {(meter, seconds): _lane_from_json(lane) for meter, seconds, lane in state["lanes"]}
        for meter, hour, packed in state["seen"]:
            self._seen.setdefault(meter, {})[hour] = Identities.unpacked(packed)
        self._taken_over = [
            Watermark(meter, seconds, Origin(topic, partition), time, over=True)
            for meter, seconds, topic, partition, time in state["taken_over"]
        ]

    def _take_over(self, sources: Iterable[tuple[str, int, dict[str, Any]]], *, known: bool) -> None:
        """Go on with the windows that each source partition had of its own.

        What it told of later ones after this state was written is told anew, from here, so it is said not to count.
        """
        for topic, partition, old in sources:
            origin, meter = Origin(topic, partition), METER_BY_TOPIC.get(topic)
            quiet = [meter] if old["quiet"] and meter else []
            source = self._sources[origin] = _source_from_json({"ends": [], **old, "quiet": quiet})
            for of, seconds, start, leaves in old["open"]:
                _put_open(self._lane((of, seconds)).open.setdefault(start, _Open()), leaves)
                source.ends[of, seconds] = max(source.ends.get((of, seconds), 0), start + seconds)
            if meter is not None and known:
                for hour, packed in old["seen"].items():
                    self._seen.setdefault(meter, {}).setdefault(int(hour), Identities()).update(
                        Identities.unpacked(packed)
                    )
            paces = dict.fromkeys([*source.closed, *(self._paces(meter) if meter else ())])
            self._taken_over += [Watermark(*pace, origin, source.closed.get(pace, 0), over=True) for pace in paces]


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


_PRINCIPAL = LEAF.index("principal")


def _flooded(leaf: Leaf) -> Leaf:
    return (*leaf[:_PRINCIPAL], FLOOD, *leaf[_PRINCIPAL + 1 :])


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
        "quiet": sorted(source.quiet),
        "lead": source.lead,
        "holes": source.holes,
        "watermark": source.watermark,
        "closed": [[*pace, boundary] for pace, boundary in source.closed.items()],
        "ends": [[*pace, end] for pace, end in source.ends.items()],
    }


def _source_from_json(state: dict[str, Any]) -> _Source:
    source = _Source(high_water=state["high_water"], watermark=dict(state["watermark"]), quiet=set(state["quiet"]))
    source.heard, source.lead = state["heard"], state.get("lead", 0.0)
    source.holes = [(first, last) for first, last in state["holes"]]
    source.closed = {(meter, seconds): boundary for meter, seconds, boundary in state["closed"]}
    source.ends = {(meter, seconds): end for meter, seconds, end in state["ends"]}
    return source


def _lane_to_json(lane: _Lane) -> dict[str, Any]:
    return {
        "released": lane.released,
        "idle": lane.idle,
        "said": lane.said,
        "open": [[start, _open_to_json(window)] for start, window in lane.open.items()],
    }


def _lane_from_json(state: dict[str, Any]) -> _Lane:
    released, idle = state["said"]
    lane = _Lane(released=state["released"], idle=state["idle"], said=(released, idle))
    for start, leaves in state["open"]:
        _put_open(lane.open.setdefault(start, _Open()), leaves)
    return lane


def _open_to_json(window: _Open) -> list[Any]:
    return [[list(leaf), sums.to_wire(), list(window.aligned[leaf].items())] for leaf, sums in window.leaves.items()]


def _put_open(window: _Open, leaves: Iterable[Any]) -> None:
    """Add what `_open_to_json` wrote to a window."""
    for values, sums, aligned in leaves:
        window.add(tuple(values), Sums.from_wire(sums), dict(aligned))
