"""What `roll` says of its windows: their parts once they are closed, and how far all is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.records import Meter
from schemas.watch import DIMENSIONS
from streams.core.windows.sums import SeriesKey, Sums, Window, count_in, series_key

Leaf = tuple[str, ...]
"""A part's values in the order of `DIMENSIONS`, empty where it has none."""
Names = tuple[str, ...]
"""The dimensions that a series is named by."""


class Origin(NamedTuple):
    """A partition that charges come from, as a watermark names it: of usage to `roll`, of `spend.charges` to others."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class PartName:
    """What a part is called, and the series that it counts in. Made once: each window has many parts."""

    leaf: Leaf
    key: SeriesKey  # the same as a series would be called
    series: tuple[SeriesKey, ...]


@dataclass(slots=True)
class Part:
    """A finest part of a window: what shares all dimensions."""

    name: PartName
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


def key_of(leaf: Leaf) -> SeriesKey:
    """What a part of these values is called."""
    return tuple((name, value) for name, value in zip(DIMENSIONS, leaf, strict=True) if value)


def part_name(leaf: Leaf, wanted: Iterable[Names]) -> PartName:
    """What a part of these values is called that counts in the series of these names. Raises KeyError on a name that it
    has no value of."""
    key = key_of(leaf)
    values = dict(key)
    return PartName(leaf, key, tuple(series_key({name: values[name] for name in names}) for names in wanted))


def leaf_of(key: SeriesKey) -> Leaf:
    """The reverse of `key_of`."""
    named = dict(key)
    return tuple(named.get(name, "") for name in DIMENSIONS)


def together(said: Iterable[Sequence[Part]]) -> list[Part]:
    """The parts of one window that several origins have something of, the dearest first, each once.

    Of equal dollars the one with most at risk, then by name, so that a re-run has the same order. While `roll.series`
    changes a part may count in other series in one origin than in another: there it is not the same.
    """
    same: dict[Leaf, list[Part]] = {}
    whole: list[Part] = []
    for parts in said:
        for part in parts:
            alike = same.setdefault(part.name.leaf, [])
            into = next((one for one in alike if one.name is part.name or one.name == part.name), None)
            if into is None:
                into = Part(part.name, part.sums.copy(), dict(part.aligned))
                alike.append(into)
                whole.append(into)
                continue
            into.sums.add(part.sums)
            if part.aligned:
                count_in(into.aligned, part.aligned)
    whole.sort(key=lambda part: (-part.sums.usd, -part.sums.at_risk_usd, part.name.key, part.name.series))
    return whole


def windows_of(meter: Meter, seconds: int, start: int, parts: Sequence[Part], most: int) -> dict[SeriesKey, Window]:
    """The series of a window, in order, each with the first `most` of its parts as cells."""
    found: dict[SeriesKey, Window] = {}
    for part in parts:
        for series in part.name.series:
            into = found.get(series)
            if into is None:  # most series have one part, whose sums are theirs: see `Window.alone`
                into = found[series] = Window(meter, series, start, seconds, part.sums)
            else:
                if into.alone:
                    into.sums = into.sums.copy()
                into.sums.add(part.sums)
            if len(into.cells) < most:
                into.cells.append((part.name.key, part.sums))
            if part.aligned:
                count_in(into.aligned, part.aligned)
    return {series: found[series] for series in sorted(found)}
