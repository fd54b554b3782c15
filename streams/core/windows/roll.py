"""The `roll` stage's decision: sums per (series, window) of one partition of `spend.charges`, closed by event time.

A source partition closes a window when its watermark (the newest event time seen) passes the window's end plus the
grace; the window is told once all source partitions that may speak have closed it. What comes later is counted late
and not watched; it is priced and landed all the same. Nothing here reads a clock: silence comes as a pulse, with the
time.

An event lives in one partition of `spend.charges`, by its identity, so one memory of identities knows its copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.records import METER_BY_TYPE, Meter
from schemas.topics import CHARGES, TOPIC_BY_EVENT_TYPE
from streams.core.columns.block import Block, Mask, Whole, joined
from streams.core.columns.packed import ChargeBatch
from streams.core.windows.identities import Identities
from streams.core.windows.parts import READ, cells
from streams.core.windows.state import Lane, Open, Pace, Source
from streams.core.windows.ticks import Leaf, Origin, PartName, Parts, Ticks, Watermark, key_of, part_name

METER_BY_TOPIC: dict[str, Meter] = {topic.name: METER_BY_TYPE[kind] for kind, topic in TOPIC_BY_EVENT_TYPE.items()}
CLOCK_SLACK_SECONDS = 0.25  # what a record takes to the broker, beside the grace, before the clock closes a window
HOUR, DAY = 3600, 86_400
STEPS = (60, 300, HOUR, DAY)  # the buckets that sources report by; see schemas.watch.Ticks.aligned
MICROS = 1_000_000
MOST_BEHIND = DAY  # how much longer than the horizon events are known where a source partition is that far behind

ROLLED = READ | {"type", "time", "period_start", "period_end"}  # the fields of charges that are looked at here

VERSION = 4  # of a snapshot

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
        self._sources: dict[Origin, Source] = {}
        self._lanes: dict[Pace, Lane] = {}
        self._seen: dict[Meter, dict[int, Identities]] = {}  # of events, by hour of event time
        self._taken_over: list[Watermark] = []
        self._known: dict[Leaf, PartName] = {}
        self.late = 0
        self.duplicates = 0

    def expect(self, origin: Origin, meter: Meter) -> None:
        """Wait for a source partition that may yet speak: no window is told without it."""
        source = self._sources.setdefault(origin, Source())
        for pace in self._paces(meter):
            source.closed.setdefault(pace, 0)

    def add(self, *batches: ChargeBatch) -> Said:
        """Take in what stands in some records; returns the windows that they closed, then how far all is told.

        The windows are the same whether records come one by one or together; together they cost less.
        """
        rows: dict[Pace, list[_Rows]] = {}
        for batch in batches:
            for origin, at in (((Origin(one.topic, one.partition)), one.at.timestamp()) for one in batch.caught_up):
                self._silent(origin, self._sources.setdefault(origin, Source()), at)
            if not batch.caught_up:
                self._take_in(batch, rows)
        for pace, pieces in rows.items():
            self._put(pace, pieces)
        return self._told()

    def _take_in(self, batch: ChargeBatch, rows: dict[Pace, list[_Rows]]) -> None:
        """Sort a batch's charges into `rows`, and note what its source partition closes by them."""
        source = self._sources.setdefault(Origin(batch.topic, batch.partition), Source())
        block = batch.block
        if block.count:
            source.heard, source.lead = float(block.micros("received_at")[-1]) / MICROS, None
        # A redelivered record's sums are in already.
        block = block.only(ROLLED).where(source.take_in(batch))
        for meter, of_meter in _by_meter(block):
            source.quiet.discard(meter)
            newest = self._sort(source, meter, of_meter, rows)
            if newest > source.watermark.get(meter, 0.0):
                source.watermark[meter] = newest
                self._close(source, meter, newest - self._rules.graces[meter])
            else:
                self._release(meter)  # it may have been silent: the others wait for it again

    def _silent(self, origin: Origin, source: Source, now: float) -> None:
        """A source partition is known to hold nothing more at `now` (epoch seconds).

        Near to now the clock goes on in its stead. In a history it does not: there the partition is over once it has
        been silent for `idle_seconds`. A bill has no pace to follow.
        """
        by_topic = METER_BY_TOPIC.get(origin.topic)
        if by_topic is None:
            return
        now -= source.ahead(now)
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
        self._over(self._sources.setdefault(origin, Source()), meter)
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

    def _sort(self, source: Source, meter: Meter, block: Block, rows: dict[Pace, list[_Rows]]) -> float:
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
        lane = self._lane(pace)
        for of_window in cells(block, starts, _aligned(pace[0], times)):
            lane.window(of_window.start).add(of_window.leaves, of_window.table, self._rules.max_leaves)

    def _lane(self, pace: Pace) -> Lane:
        lane = self._lanes.get(pace)
        if lane is None:
            lane = self._lanes[pace] = Lane()
        return lane

    def _over(self, source: Source, meter: Meter) -> None:
        """Close all windows that a source partition has something in, and wait for it no longer."""
        source.quiet.add(meter)
        for pace in self._paces(meter):
            source.closed[pace] = max(source.closed.get(pace, 0), source.ends.get(pace, 0))
        self._release(meter)

    def _close(self, source: Source, meter: Meter, until: float) -> None:
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

    def _ticks(self, pace: Pace, start: int, window: Open) -> Ticks:
        """What counts in a series at all."""
        names, table = list(map(self._name_of, window.leaves)), window.table()
        counted = [at for at, name in enumerate(names) if name.series]
        if len(counted) < len(names):
            names, table = [names[at] for at in counted], table.take(counted)
        return Ticks(*pace, start, self._origin, Parts(names, table))

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
            "version": VERSION,
            "late": self.late,
            "duplicates": self.duplicates,
            "sources": [
                [origin.topic, origin.partition, source.to_json()] for origin, source in self._sources.items()
            ],
            "lanes": [[*pace, lane.to_json()] for pace, lane in self._lanes.items()],
            "seen": [[meter, hour, keys.packed()] for meter, seen in self._seen.items() for hour, keys in seen.items()],
            "taken_over": [[one.meter, one.seconds, *one.origin, one.time] for one in self._taken_over],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know.

        In version 3 the parts of a window were not by column. In versions 1 and 2 each source partition had windows of
        its own. Version 1 knew events by other digests: an event of the hour before the upgrade that comes again is not
        known.
        """
        version = state.get("version", 0)
        if version not in range(1, VERSION + 1):
            raise ValueError(f"roll state of version {version!r} can't be read; this code reads 1 to {VERSION}")
        self.late, self.duplicates = state["late"], state["duplicates"]
        if version < 3:
            self._take_over(state["sources"], known=version == 2)
            return
        self._sources = {Origin(topic, part): Source.from_json(source) for topic, part, source in state["sources"]}
        self._lanes = {(meter, seconds): Lane.from_json(lane) for meter, seconds, lane in state["lanes"]}
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
            source = self._sources[origin] = Source.from_json({"ends": [], **old, "quiet": quiet})
            for of, seconds, start, leaves in old["open"]:
                self._lane((of, seconds)).window(start).put(leaves)
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


def _by_meter(block: Block) -> list[tuple[Meter, Block]]:
    """The charges of each meter, in the order in which the meters come."""
    if not block.count:
        return []
    coded, types = block.codes("type")
    return [(METER_BY_TYPE[types[code]], block.where(coded == code)) for code in dict.fromkeys(coded.tolist())]


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
