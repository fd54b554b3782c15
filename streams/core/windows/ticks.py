"""What `roll` says of its windows: their parts once they are closed, and how far all is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from schemas.records import Meter
from streams.core.windows.sums import SeriesKey, Sums, Window

MOST_PARTS = 2000  # in a record, which must not outgrow its topic


class Origin(NamedTuple):
    """A partition that charges come from, as a watermark names it: of usage to `roll`, of `spend.charges` to others."""

    topic: str
    partition: int


@dataclass(slots=True)
class Part:
    """A finest part of a window: what shares all dimensions. `series`: those that it counts in."""

    key: SeriesKey
    series: tuple[SeriesKey, ...]
    sums: Sums
    aligned: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ticks:
    """A closed window as one origin has it, or a piece of that. An upsert: the first piece takes the place of all that
    the origin said of the window before."""

    meter: Meter
    seconds: int
    start: int  # epoch seconds UTC
    origin: Origin
    parts: list[Part] = field(default_factory=list)
    piece: int = 0

    @property
    def end(self) -> int:
        """Epoch seconds UTC, exclusive."""
        return self.start + self.seconds


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


def dealt(ticks: Ticks, partition_of: Callable[[SeriesKey], int]) -> dict[int, Ticks]:
    """The window for each partition of `spend.ticks` that has series of it: the parts that count in them."""
    out: dict[int, Ticks] = {}
    for part in ticks.parts:
        series_of: dict[int, list[SeriesKey]] = {}
        for series in part.series:
            series_of.setdefault(partition_of(series), []).append(series)
        for partition, here in series_of.items():
            into = out.get(partition)
            if into is None:
                into = out[partition] = replace(ticks, parts=[])
            into.parts.append(Part(part.key, tuple(here), part.sums, part.aligned))
    return out


def pieces(ticks: Ticks) -> Iterator[Ticks]:
    """The window in pieces that a record can hold."""
    for number, at in enumerate(range(0, len(ticks.parts), MOST_PARTS)):
        yield replace(ticks, parts=ticks.parts[at : at + MOST_PARTS], piece=number)


def together(said: Iterable[Sequence[Part]]) -> list[Part]:
    """The parts of one window that several origins have something of, the dearest first, each once.

    Of equal dollars the one with most at risk, then by name, so that a re-run has the same order. While `roll.series`
    changes a part may count in other series in one origin than in another: there it is not the same.
    """
    same: dict[SeriesKey, list[Part]] = {}
    whole: list[Part] = []
    for parts in said:
        for part in parts:
            alike = same.setdefault(part.key, [])
            into = next((one for one in alike if one.series == part.series), None)
            if into is None:
                into = Part(part.key, part.series, part.sums.copy(), dict(part.aligned))
                alike.append(into)
                whole.append(into)
                continue
            into.sums.add(part.sums)
            _count(into.aligned, part.aligned)
    whole.sort(key=lambda part: (-part.sums.usd, -part.sums.at_risk_usd, part.key, part.series))
    return whole


def windows_of(meter: Meter, seconds: int, start: int, parts: Sequence[Part], most: int) -> dict[SeriesKey, Window]:
    """The series of a window, in order, each with the first `most` of its parts as cells."""
    found: dict[SeriesKey, Window] = {}
    for part in parts:
        for series in part.series:
            into = found.get(series)
            if into is None:  # most series have one part, whose sums are theirs: see `Window.alone`
                into = found[series] = Window(meter, series, start, seconds, part.sums)
            else:
                if into.alone:
                    into.sums = into.sums.copy()
                into.sums.add(part.sums)
            if len(into.cells) < most:
                into.cells.append((part.key, part.sums))
            if part.aligned:
                _count(into.aligned, part.aligned)
    return {series: found[series] for series in sorted(found)}


def _count(into: dict[int, int], aligned: dict[int, int]) -> None:
    for step, count in aligned.items():
        into[step] = into.get(step, 0) + count
