"""Puts a window's parts together: a series has events in many partitions of `spend.charges`.

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
from streams.core.windows.merging import Book
from streams.core.windows.sums import SeriesKey, Window
from streams.core.windows.ticks import Origin, Parts, Ticks, Watermark
from streams.core.windows.ticks_json import Writer, from_json

Pace = tuple[Meter, int]
MAX_SILENT_WINDOWS = 10_000
VERSION, READS = 3, (1, 2, 3)  # of a snapshot; they hold ticks of formats 2, 3 and 4


@dataclass(frozen=True, slots=True)
class Complete:
    """All series of one window (`start`, `seconds`) of one meter. A series that is not here spent nothing in it.

    `parts` is what they were made of, the dearest first. Windows of one pace follow each other without a gap, empty
    ones included, but for holes of over `MAX_SILENT_WINDOWS`.
    """

    meter: Meter
    seconds: int
    start: int  # epoch seconds UTC
    windows: dict[SeriesKey, Window]
    parts: Parts = field(default_factory=Parts)

    @property
    def end(self) -> int:
        """Epoch seconds UTC, exclusive."""
        return self.start + self.seconds


@dataclass(slots=True)
class _Lane:
    """One pace: what each origin has said so far, and the windows that wait for the others."""

    said: dict[Origin, int] = field(default_factory=dict)
    idle: set[Origin] = field(default_factory=set)
    waiting: dict[int, dict[Origin, dict[int, Ticks]]] = field(default_factory=dict)  # by their pieces
    released: int = 0  # windows that end at or before are gone
    next: int | None = None  # start of the first window not released yet; None until the first came


class Merger:
    """Merges the ticks of one partition of `spend.ticks`, for any number of meters, widths and origins."""

    def __init__(self, max_cells: int = 24) -> None:
        self._max_cells = max_cells
        self._lanes: dict[Pace, _Lane] = {}
        self._book = Book()
        self.late = 0  # windows that were released before an origin had said what it had of them

    def expect(self, meter: Meter, seconds: int, origin: Origin) -> None:
        """Wait for this origin from the start, though it has not spoken yet."""
        self._lane((meter, seconds)).said.setdefault(origin, 0)

    def ticks(self, ticks: Ticks) -> None:
        """Take in what an origin has of a window: the newest counts."""
        lane = self._lane((ticks.meter, ticks.seconds))
        if ticks.end <= lane.released:
            self.late += 1
            return
        of_window = lane.waiting.setdefault(ticks.start, {})
        if ticks.piece == 0:
            of_window[ticks.origin] = {}
        of_window.setdefault(ticks.origin, {})[ticks.piece] = ticks

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
            said = lane.waiting.pop(start, {})
            parts = self._book.merged([ticks.parts for origin in sorted(said) for ticks in said[origin].values()])
            windows = self._book.windows(meter, seconds, start, parts, self._max_cells)
            out.append(Complete(meter, seconds, start, windows, parts))
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

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        write = Writer().whole
        return {
            "version": VERSION,
            "late": self.late,
            "lanes": [
                {
                    "pace": list(pace),
                    "released": lane.released,
                    "next": lane.next,
                    "said": [[o.topic, o.partition, time, o in lane.idle] for o, time in lane.said.items()],
                    "waiting": [
                        write(ticks).decode()
                        for said in lane.waiting.values()
                        for pieces in said.values()
                        for ticks in pieces.values()
                    ],
                }
                for pace, lane in self._lanes.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know."""
        if state.get("version") not in READS:
            raise ValueError(f"merge state of version {state.get('version')!r} can't be read; this code reads {READS}")
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
                for one in ticks if isinstance(ticks, list) else ():
                    self.ticks(one)


def _void(lane: _Lane, mark: Watermark) -> None:
    """What an origin said of windows that end after the mark is another's to say."""
    for start, of_window in lane.waiting.items():
        if start + mark.seconds > mark.time:
            of_window.pop(mark.origin, None)
