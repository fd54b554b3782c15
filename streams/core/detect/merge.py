"""Puts a window's partial sums together: a series has events in many partitions of `spend.charges`.

A window is complete when every one that may speak has said so. Then, and only then, it is released, in order of time,
so that detection sees the same whatever the partitioning.

Until format 3 source partitions had windows of their own. Those that are under way at the upgrade count, but only
partitions of `spend.charges` are waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.records import Meter
from schemas.topics import CHARGES
from streams.core.windows.roll import dearest
from streams.core.windows.sums import (
    Origin,
    SeriesKey,
    Sums,
    Tick,
    Watermark,
    Window,
    from_json,
    ticks_to_json,
)

Pace = tuple[Meter, int]
MAX_SILENT_WINDOWS = 10_000


@dataclass(frozen=True, slots=True)
class Complete:
    """All series of one window (`start`, `seconds`) of one meter. A series that is not here spent nothing in it.

    Windows of one pace follow each other without a gap, empty ones included, but for holes of over
    `MAX_SILENT_WINDOWS`.
    """

    meter: Meter
    seconds: int
    start: int  # epoch seconds UTC
    windows: dict[SeriesKey, Window]

    @property
    def end(self) -> int:
        """Epoch seconds UTC, exclusive."""
        return self.start + self.seconds


@dataclass(slots=True)
class _Lane:
    """One pace: what each origin has said so far, and the windows that wait for the others."""

    said: dict[Origin, int] = field(default_factory=dict)
    idle: set[Origin] = field(default_factory=set)
    waiting: dict[int, dict[SeriesKey, dict[Origin, Window]]] = field(default_factory=dict)
    released: int = 0  # windows that end at or before are gone
    next: int | None = None  # start of the first window not released yet; None until the first came


class Merger:
    """Merges the ticks of one partition of `spend.ticks`, for any number of meters, widths and origins."""

    def __init__(self, max_cells: int = 24) -> None:
        self._max_cells = max_cells
        self._lanes: dict[Pace, _Lane] = {}
        self.late = 0  # ticks whose window was released before they came

    def expect(self, meter: Meter, seconds: int, origin: Origin) -> None:
        """Wait for this origin from the start, though it has not spoken yet."""
        self._lane((meter, seconds)).said.setdefault(origin, 0)

    def tick(self, tick: Tick) -> None:
        """Take in an upsert: the newest of (series, window, origin) counts."""
        window = tick.window
        lane = self._lane((window.meter, window.seconds))
        if window.end <= lane.released:
            self.late += 1
            return
        lane.waiting.setdefault(window.start, {}).setdefault(window.series, {})[tick.origin] = window

    def watermark(self, mark: Watermark) -> list[Complete]:
        """Take in how far an origin has come; returns the windows that are complete now, in order of time."""
        lane = self._lane((mark.meter, mark.seconds))
        if mark.origin.topic != CHARGES.name:
            if mark.over:
                _void(lane, mark)
            return []
        lane.said[mark.origin] = max(mark.time, lane.said.get(mark.origin, 0))
        if mark.idle:
            lane.idle.add(mark.origin)
        else:
            lane.idle.discard(mark.origin)
        return self._release(mark.meter, mark.seconds, lane)

    def released(self) -> dict[Pace, int]:
        """How far each pace has come: windows that end at or before (epoch seconds) are released."""
        return {pace: lane.released for pace, lane in self._lanes.items() if lane.released}

    def _lane(self, pace: Pace) -> _Lane:
        return self._lanes.setdefault(pace, _Lane())

    def _release(self, meter: Meter, seconds: int, lane: _Lane) -> list[Complete]:
        awake = [time for origin, time in lane.said.items() if origin not in lane.idle]
        # With everyone silent the furthest counts: what they had is closed, and nobody is left to wait for.
        upto = min(awake) if awake else max(lane.said.values(), default=0)
        if upto <= lane.released:
            return []
        lane.released = upto
        out = []
        for start in self._starts(lane, seconds, upto):
            parts = lane.waiting.pop(start, {})
            merged = {key: self._merge(parts[key]) for key in sorted(parts) if parts[key]}
            out.append(Complete(meter, seconds, start, merged))
            lane.next = start + seconds
        return out

    def _starts(self, lane: _Lane, seconds: int, upto: int) -> list[int]:
        """Every window from the first unreleased one to `upto`, the silent ones too: silence is something to see."""
        spoken = sorted(start for start in lane.waiting if start + seconds <= upto)
        if lane.next is None:
            if not spoken:
                return []
            lane.next = spoken[0]
        steps = range(lane.next, upto - seconds + 1, seconds)
        # After a very long silence (a history with a hole) the empty windows would say nothing new.
        return list(steps) if len(steps) <= MAX_SILENT_WINDOWS + len(spoken) else spoken

    def _merge(self, parts: dict[Origin, Window]) -> Window:
        ordered = [parts[origin] for origin in sorted(parts, key=lambda o: (o.topic, o.partition))]
        if len(ordered) == 1:
            return ordered[0]
        first = ordered[0]
        whole = Window(first.meter, first.series, first.start, first.seconds, Sums())
        for part in ordered:
            whole.sums.add(part.sums)
            for step, count in part.aligned.items():
                whole.aligned[step] = whole.aligned.get(step, 0) + count
        if all(part.alone and part.cells[0][0] == first.cells[0][0] for part in ordered):
            whole.cells = [(first.cells[0][0], whole.sums)]
            return whole
        cells: dict[SeriesKey, Sums] = {}
        for part in ordered:
            for key, sums in part.cells:
                into = cells.get(key)
                if into is None:
                    into = cells[key] = Sums()
                into.add(sums)
        whole.cells = dearest(list(cells.items()), self._max_cells)
        return whole

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        return {
            "version": 1,
            "late": self.late,
            "lanes": [
                {
                    "pace": list(pace),
                    "released": lane.released,
                    "next": lane.next,
                    "said": [[o.topic, o.partition, time, o in lane.idle] for o, time in lane.said.items()],
                    "waiting": [
                        ticks_to_json([Tick(window, origin)]).decode()
                        for series in lane.waiting.values()
                        for parts in series.values()
                        for origin, window in parts.items()
                    ],
                }
                for pace, lane in self._lanes.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know."""
        if state.get("version") != 1:
            raise ValueError(
                f"merge state of version {state.get('version')!r} can't be read; this code reads version 1"
            )
        self.late = state["late"]
        self._lanes = {}
        for wire in state["lanes"]:
            meter, seconds = wire["pace"]
            lane = self._lane((meter, seconds))
            lane.released, lane.next = wire["released"], wire["next"]
            for topic, partition, time, idle in wire["said"]:
                origin = Origin(topic, partition)
                if topic != CHARGES.name:
                    continue
                lane.said[origin] = time
                if idle:
                    lane.idle.add(origin)
            for text in wire["waiting"]:
                ticks = from_json(text.encode())
                for tick in ticks if isinstance(ticks, list) else ():
                    self.tick(tick)


def _void(lane: _Lane, mark: Watermark) -> None:
    """What an origin said of windows that end after the mark is another's to say."""
    for start, series in lane.waiting.items():
        for parts in series.values() if start + mark.seconds > mark.time else ():
            parts.pop(mark.origin, None)
