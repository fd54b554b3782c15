"""Sums of many parts by column: exact whole numbers in one matrix, so that adding up takes a few calls however many
parts there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.watch import MONEY, SUMS
from streams.core.columns.amounts import MOST, fits
from streams.core.columns.block import Whole
from streams.core.windows.sums import ZERO, Sums

Units = npt.NDArray[Any]
"""Whole numbers: of 64 bits, or Python's own (dtype object) where those can't be sure to hold them."""

PLACES = 12  # decimals that money is counted in where they are enough: then 64 bits hold nine million dollars
EXACT = Context(prec=200)
MOST_DIGITS = 60  # before the point and behind it
_RANK = {name: rank for rank, name in enumerate(SUMS)}
_NOTHING: tuple[Iterable[Any], ...] = tuple(repeat(ZERO if name in MONEY else 0) for name in SUMS)


@dataclass(slots=True, eq=False)
class Table:
    """A row for each of `fields`, a column for each part: `units` of 10**-`places`.

    A field is of `schemas.watch.SUMS`, or the width of a bucket in seconds: how many events end one. They stand in that
    order. What has no row is 0 in every part.
    """

    fields: tuple[str, ...]
    places: tuple[int, ...]
    units: Units

    @classmethod
    def of(cls, rows: Mapping[str, tuple[int, Units]], count: int) -> Table:
        """Rows by field, each as its places and units; `count` is of parts."""
        fields = tuple(sorted(rows, key=_order))
        places = tuple(rows[field][0] for field in fields)
        return cls(fields, places, _stacked([rows[field][1] for field in fields], count))

    @classmethod
    def of_sums(cls, sums: Sequence[Sums], aligned: Sequence[Mapping[int, int]]) -> Table:
        """One part after the other."""
        rows: dict[str, tuple[int, Units]] = {}
        for name in SUMS:
            values = [getattr(one, name) for one in sums]
            if any(values):
                rows[name] = of_decimals(values) if name in MONEY else (0, whole(values))
        for step in sorted({step for one in aligned for step in one}):
            rows[str(step)] = 0, whole([one.get(step, 0) for one in aligned])
        return cls.of(rows, len(sums))

    @property
    def count(self) -> int:
        """How many parts there are."""
        return int(self.units.shape[1])

    def row(self, field: str) -> Units:
        """A field of every part, in its units."""
        if field in self.fields:
            return np.asarray(self.units[self.fields.index(field)])
        return np.zeros(self.count, dtype=np.int64)

    def take(self, parts: Sequence[int] | Whole) -> Table:
        """These parts, in this order."""
        return Table(self.fields, self.places, self.units.take(parts, axis=1))

    def added(self, begins: Whole) -> Table:
        """Parts that stand together as one, each group from where it begins to where the next does."""
        units = self.units if fits(self.units, self.count) else self.units.astype(np.object_)
        return Table(self.fields, self.places, _narrow(np.add.reduceat(units, begins, axis=1)))

    def sums(self) -> list[Sums]:
        """Each part's sums."""
        if not self.fields or self.fields[0] not in _RANK:  # else some column of those below has an end
            return [Sums() for _ in range(self.count)]
        exact = self.units.dtype == np.object_  # 64 bits are fewer digits than a decimal has
        columns = list(_NOTHING)
        for field, places, units in zip(self.fields, self.places, self.units.tolist(), strict=True):
            if field in _RANK:
                columns[_RANK[field]] = decimals(units, places, exact=exact) if field in MONEY else units
        return list(map(Sums, *columns))

    def steps(self) -> list[tuple[int, Units]]:
        """How many events end a bucket, by its width."""
        return [(int(field), self.units[at]) for at, field in enumerate(self.fields) if field not in _RANK]

    def _as(self, fields: tuple[str, ...], places: tuple[int, ...]) -> Units:
        """The same with these rows, which are all that it has or more, in units as small or smaller."""
        if (self.fields, self.places) == (fields, places):
            return self.units
        known = dict(zip(self.fields, zip(self.places, self.units, strict=True), strict=True))
        rows = []
        for field, wanted in zip(fields, places, strict=True):
            has, units = known.get(field, (wanted, None))
            rows.append(np.zeros(self.count, dtype=np.int64) if units is None else finer(units, wanted - has))
        return _stacked(rows, self.count)


def joined(tables: Sequence[Table]) -> Table:
    """The parts of one after those of the other; there is at least one table."""
    if len(tables) == 1:
        return tables[0]
    most: dict[str, int] = {}
    for table in tables:
        for field, places in zip(table.fields, table.places, strict=True):
            most[field] = max(places, most.get(field, 0))
    fields = tuple(sorted(most, key=_order))
    wanted = tuple(most[field] for field in fields)
    return Table(fields, wanted, np.concatenate([table._as(fields, wanted) for table in tables], axis=1))


def whole(values: Sequence[int]) -> Units:
    """Whole numbers as units. Raises TypeError on others."""
    units = np.array(values) if len(values) else np.zeros(0, dtype=np.int64)
    if units.dtype == np.int64:
        return units
    if not all(isinstance(value, int) for value in values):
        raise TypeError("no whole number")
    return np.array(values, dtype=np.object_)


def of_decimals(values: Sequence[Decimal], least: int = PLACES) -> tuple[int, Units]:
    """Decimals as places, of which there are at least so many, and units: none is rounded.

    Raises ValueError on one that is no sum of money, for `EXACT` could not hold it.
    """
    places = least
    for value in values:
        if not value:
            continue
        exponent = int(value.as_tuple().exponent)
        if exponent < -MOST_DIGITS or value.adjusted() > MOST_DIGITS:
            raise ValueError("an amount is out of bounds")
        places = max(places, -exponent)
    return places, whole([int(value.scaleb(places, EXACT)) for value in values])


def decimals(units: Iterable[int], places: int, *, exact: bool) -> list[Decimal]:
    """The reverse. `exact`: some may have more digits than a decimal's arithmetic keeps."""
    one = _one(places)
    if exact:
        return [EXACT.multiply(Decimal(number), one) if number else ZERO for number in units]
    return [Decimal(number) * one if number else ZERO for number in units]


@lru_cache
def _one(places: int) -> Decimal:
    return Decimal(1).scaleb(-places)


def product(counts: Units, prices: Units) -> Units:
    """Of each with the other at its place; `counts` are not below 0."""
    if prices.dtype == np.int64 and fits(prices, int(counts.max(initial=0))):
        return np.asarray(counts * prices)
    return _narrow(counts.astype(np.object_) * prices.astype(np.object_))


def finer(units: Units, places: int) -> Units:
    """The same numbers in units of so many decimal places more."""
    factor = 10**places
    return units * factor if fits(units, factor) else _narrow(units.astype(np.object_) * factor)


def _narrow(units: Units) -> Units:
    if units.dtype != np.object_ or (units.size and not -MOST <= units.min() <= units.max() < MOST):
        return units
    return units.astype(np.int64)


def _stacked(rows: Sequence[Units], count: int) -> Units:
    exact = any(row.dtype == np.object_ for row in rows)
    units = np.empty((len(rows), count), dtype=np.object_ if exact else np.int64)
    for at, row in enumerate(rows):
        units[at] = row
    return units


def in_order(fields: Sequence[str]) -> bool:
    """Whether these are fields of a table, each once and in their order. Raises ValueError or TypeError on others."""
    return list(fields) == sorted(set(fields), key=_order)


def _order(field: str) -> int:
    return _RANK[field] if field in _RANK else int(field) + len(_RANK)
