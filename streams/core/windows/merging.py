"""From the parts of a window that several origins have to the series that they count in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, chain

import numpy as np

from schemas.records import Meter
from streams.core.columns.grouping import together
from streams.core.windows.sums import SeriesKey, Sums, Window
from streams.core.windows.table import Table, joined
from streams.core.windows.ticks import Leaf, PartName, Parts

MOST_KNOWN = 50_000  # parts whose numbers are remembered
UNSORTED = 0.25  # so many series may be new since all were put in order, of those that were


class Book:
    """Numbers parts and series, so that those of a window are put together by number and not by name.

    What is known is bounded, and then begun anew.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[PartName, int] = {}
        self._same: dict[tuple[Leaf, tuple[SeriesKey, ...]], int] = {}
        self._members: list[list[int]] = []  # of each part, the series that it counts in
        self._series: dict[SeriesKey, int] = {}
        self._keys: list[SeriesKey] = []
        self._rank: list[int] = []  # of each series by its key, but for the newest

    def merged(self, said: Sequence[Parts]) -> Parts:
        """The parts of one window that several origins have something of, the dearest first, each once.

        Of equal dollars the one with most at risk, then by name, so that a re-run has the same order. While
        `roll.series` changes a part may count in other series in one origin than in another: there it is not the same.
        """
        said = [parts for parts in said if parts.names]
        if not said:
            return Parts()
        names = list(chain.from_iterable(parts.names for parts in said))
        table, numbers = joined([parts.table for parts in said]), self._of(names)
        if len(set(numbers)) < len(numbers):
            order, begins = together(np.array(numbers, dtype=np.int64))
            table = table.take(order).added(begins)
            names = [names[at] for at in order[begins].tolist()]
        if len(names) > 1:
            dearest = _dearest(table, names)
            names, table = [names[at] for at in dearest], table.take(dearest)
        return Parts(names, table)

    def windows(self, meter: Meter, seconds: int, start: int, parts: Parts, most: int) -> dict[SeriesKey, Window]:
        """The series of a window, in order, each with the first `most` of its parts as cells."""
        found: dict[int, list[int]] = {}  # the places of each series' parts
        numbers = self._of(parts.names)
        for at, members in enumerate(map(self._members.__getitem__, numbers)):
            for series in members:
                if series in found:
                    found[series].append(at)
                else:
                    found[series] = [at]
        sums = parts.table.sums()
        whole = _added(parts.table, {series: places for series, places in found.items() if len(places) > 1})
        cells = list(zip([name.key for name in parts.names], sums, strict=True))
        out: dict[SeriesKey, Window] = {}
        for series in self._in_order(found):
            key, places = self._keys[series], found[series]
            if len(places) == 1:  # so it is mostly; the two share their sums, and nobody may change them
                at = places[0]
                out[key] = Window(meter, key, start, seconds, sums[at], [cells[at]], {})
            else:
                shown = [cells[at] for at in places[:most]]
                out[key] = Window(meter, key, start, seconds, whole[series], shown, {})
        for step, row in parts.table.steps():
            counts = row.tolist()
            for series, places in found.items():
                if ended := sum([counts[at] for at in places]):
                    out[self._keys[series]].aligned[step] = ended
        return out

    def _of(self, names: Sequence[PartName]) -> list[int]:
        """The numbers of these parts, good until the next call. What says the same is the same part."""
        if len(self._numbers) > MOST_KNOWN:
            self._begin()
        known = self._numbers
        try:
            return [known[name] for name in names]
        except KeyError:
            return [self._number(name) for name in names]

    def _number(self, name: PartName) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = self._same.setdefault((name.leaf, name.series), len(self._members))
            if number == len(self._members):
                self._members.append([self._series_number(key) for key in name.series])
        return number

    def _series_number(self, key: SeriesKey) -> int:
        number = self._series.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
        return number

    def _in_order(self, series: Collection[int]) -> list[int]:
        """Series by their keys. To compare those takes long, so that it is remembered how they stand to each other."""
        keys = self._keys
        if len(keys) - len(self._rank) > UNSORTED * len(self._rank):
            self._rank = [0] * len(keys)
            for rank, number in enumerate(sorted(range(len(keys)), key=keys.__getitem__)):
                self._rank[number] = rank
        ranked = sorted([number for number in series if number < len(self._rank)], key=self._rank.__getitem__)
        if len(ranked) == len(series):
            return ranked
        new = sorted([number for number in series if number >= len(self._rank)], key=keys.__getitem__)
        return sorted([*ranked, *new], key=keys.__getitem__)  # two rows that are in order: each is looked at once


def _added(table: Table, groups: Mapping[int, Sequence[int]]) -> dict[int, Sums]:
    """What the parts at these places add up to, by the groups' numbers."""
    if not groups:
        return {}
    begins = np.array([0, *accumulate(map(len, groups.values()))][:-1])
    return dict(zip(groups, table.take(list(chain.from_iterable(groups.values()))).added(begins).sums(), strict=True))


def _dearest(table: Table, names: Sequence[PartName]) -> list[int]:
    """The places of the parts, the dearest first; what costs and risks the same by name."""
    usd = table.row("usd")
    order = np.argsort(-usd, kind="stable")
    usd = usd[order]
    alike = np.flatnonzero(usd[1:] == usd[:-1])
    ranked: list[int] = order.tolist()
    if len(alike):
        risk = table.row("at_risk_usd").tolist()
        for run in np.split(alike, np.flatnonzero(np.diff(alike) > 1) + 1):
            first, behind = int(run[0]), int(run[-1]) + 2
            ranked[first:behind] = sorted(
                ranked[first:behind], key=lambda at: (-risk[at], names[at].key, names[at].series)
            )
    return ranked
