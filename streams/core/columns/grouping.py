"""Which rows agree in some columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]
_MOST_CODES = 2**62


def grouped(keys: Sequence[Whole]) -> tuple[Whole, Whole]:
    """For each row the number of its group, and each group's first row; groups are numbered by their first rows.

    A key has small whole numbers from 0 on, one a row: the numbers of a column's values.
    """
    _, first, group = np.unique(as_one(keys), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[group], first[order]


def together(groups: Whole) -> tuple[Whole, Whole]:
    """An order of the rows in which those of one group stand together, as they came, and where each group begins."""
    order = np.argsort(groups, kind="stable")
    at = groups[order]
    begins = np.empty(len(at), dtype=np.bool_)
    begins[:1] = True
    np.not_equal(at[1:], at[:-1], out=begins[1:])
    return order, np.flatnonzero(begins)


def as_one(keys: Sequence[Whole]) -> Whole:
    """One number a row, the same for rows that agree in all keys."""
    whole, size = np.zeros(len(keys[0]), dtype=np.int64), 1
    for key in keys:
        most = int(key.max(initial=0)) + 1
        if most == 1:
            continue
        if size * most >= _MOST_CODES:
            _, whole = np.unique(whole, return_inverse=True)
            size = int(whole.max()) + 1
        whole, size = whole * most + key, size * most
    return whole
