"""What `roll` says of its windows: their parts once they are closed, and how far all is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.records import Meter
from schemas.watch import DIMENSIONS
from streams.core.windows.sums import SeriesKey, Sums, series_key
from streams.core.windows.table import Table

Leaf = tuple[str, ...]
"""A part's values in the order of `DIMENSIONS`, empty where it has none."""
Names = tuple[str, ...]
"""The dimensions that a series is named by."""


class Origin(NamedTuple):
    """A partition that charges come from, as a watermark names it: of usage to `roll`, of `spend.charges` to others."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, eq=False)
class PartName:
    """What a part is called, and the series that it counts in. Made once and then told by itself, not by what is in it:
    each window has many parts."""

    leaf: Leaf
    key: SeriesKey  # the same as a series would be called
    series: tuple[SeriesKey, ...]

    def same(self, other: PartName) -> bool:
        """Whether the other says the same."""
        return self is other or (self.leaf, self.series) == (other.leaf, other.series)


@dataclass(slots=True)
class Part:
    """A finest part of a window: what shares all dimensions."""

    name: PartName
    sums: Sums
    aligned: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Parts:
    """The parts of a window by column: the sums of each of `names` at its place of the table."""

    names: list[PartName] = field(default_factory=list)
    table: Table = field(default_factory=lambda: Table.of({}, 0))

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Parts:
        """The same parts by column."""
        table = Table.of_sums([part.sums for part in parts], [part.aligned for part in parts])
        return cls([part.name for part in parts], table)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Part]:
        """One part after the other."""
        steps = self.table.steps()
        for at, (name, sums) in enumerate(zip(self.names, self.table.sums(), strict=True)):
            yield Part(name, sums, {step: int(counts[at]) for step, counts in steps if counts[at]})

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, in whatever units."""
        if not isinstance(other, Parts) or len(self) != len(other):
            return False
        return all(
            one.name.same(two.name) and (one.sums, one.aligned) == (two.sums, two.aligned)
            for one, two in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(slots=True)
class Ticks:
    """A closed window as one origin has it, or a piece of that. An upsert: the first piece takes the place of all that
    the origin said of the window before."""

    meter: Meter
    seconds: int
    start: int  # epoch seconds UTC
    origin: Origin
    parts: Parts = field(default_factory=Parts)
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
