"""Money by column: Arrow decimals of 18 places, their whole units, and sums that are exact whatever their size."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.base import SCALE

MONEY = pa.decimal128(38, SCALE)
Whole = npt.NDArray[np.int64]
_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
MOST = 2**63
_GROUP = 6  # decimals that go at a time when a number is written without the zeros at its end


def amount(units: int) -> Decimal:
    """`units` of 10**-18 as a decimal, without long rows of zeros behind it."""
    places = SCALE
    while places and not units % 10**_GROUP:
        units //= 10**_GROUP
        places -= _GROUP
    return Decimal(units).scaleb(-places)


def amounts(column: pa.Array) -> list[Decimal | None]:
    """The column's values; None where nothing is known."""
    known: dict[int, Decimal] = {}
    low, high = _limbs(column)
    out: list[Decimal | None] = []
    for bottom, top in zip(low.tolist(), high.tolist(), strict=True):
        units = (top << 64) + bottom
        value = known.get(units)
        if value is None:
            value = known[units] = amount(units)
        out.append(value)
    if column.null_count:
        return [value if valid else None for value, valid in zip(out, column.is_valid().to_pylist(), strict=True)]
    return out


def of_units(units: Whole) -> pa.Array:
    """A column of money from whole units of 10**-18."""
    limbs = np.empty((len(units), 2), dtype=np.int64)
    limbs[:, 0] = units
    limbs[:, 1] = units >> 63  # the sign goes on into the upper half
    return pa.Array.from_buffers(MONEY, len(units), [None, pa.py_buffer(limbs)])


def of_counts(counts: Whole) -> pa.Array:
    """A column of money from whole numbers."""
    return pa.array(counts).cast(MONEY)


def units(column: pa.Array) -> tuple[int, npt.NDArray[Any]]:
    """Decimal places, and the column in units of them; 0 where nothing is known.

    Of few places where those are enough, so that 64 bits hold large sums; else Python's own numbers (dtype object).
    """
    low, high = _limbs(column)
    small: npt.NDArray[Any] = low.view(np.int64)
    if not np.array_equal(high, small >> 63):
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        small = np.array([(top << 64) + bottom for bottom, top in pairs], dtype=np.object_)
    fewer = small // 10**_GROUP
    return (SCALE - _GROUP, fewer) if np.array_equal(fewer * 10**_GROUP, small) else (SCALE, small)


def sums(column: pa.Array, groups: Whole, count: int) -> list[int]:
    """The exact sum of each of `count` groups in units of 10**-18; `groups` says to which each value belongs.

    What is not known adds nothing. Where 64 bits can't be sure to hold a sum, values are added up in three pieces.
    """
    low, high = _limbs(column)
    small = low.view(np.int64)
    if np.array_equal(high, small >> 63) and fits(small, len(small)):
        return _grouped(small, groups, count)
    pieces = ((high, 64), ((low >> _HALF).astype(np.int64), 32), ((low & _LOW).astype(np.int64), 0))
    out = [0] * count
    for values, shift in pieces:
        for group, part in enumerate(_grouped(values, groups, count)):
            out[group] += part << shift
    return out


def fits(units: npt.NDArray[Any], count: int) -> bool:
    """Whether no sum of so many of these whole numbers can leave 64 bits."""
    return units.dtype != np.object_ and (not units.size or max(int(units.max()), -int(units.min())) * count < MOST)


def _grouped(values: npt.NDArray[Any], groups: Whole, count: int) -> list[int]:
    out = np.zeros(count, dtype=values.dtype)
    np.add.at(out, groups, values)
    found: list[int] = out.tolist()
    return found


def _limbs(column: pa.Array) -> tuple[npt.NDArray[np.uint64], Whole]:
    """The lower and upper 64 bits of each value, 0 where there is none."""
    data = column.buffers()[1]
    if data is None or not len(column):
        nothing = np.zeros(len(column), dtype=np.uint64)
        return nothing, nothing.astype(np.int64)
    limbs = np.frombuffer(data, dtype=np.uint64)[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)
    low, high = limbs[:, 0], limbs[:, 1].view(np.int64)
    if column.null_count:
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        low, high = np.where(valid, low, np.uint64(0)), np.where(valid, high, 0)
    return low, high


def equal_units(one: pa.Array, other: pa.Array) -> npt.NDArray[np.bool_]:
    """Where two columns of money hold the same; what is not known counts as 0."""
    if one is other:
        return np.ones(len(one), dtype=np.bool_)
    (low, high), (low_too, high_too) = _limbs(one), _limbs(other)
    return np.asarray((low == low_too) & (high == high_too))


def zeros(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Where there is nothing, or nothing is known."""
    low, high = _limbs(column)
    return np.asarray((low == 0) & (high == 0))
