"""Ticks as format 3 had them: each part with its values and the places of its series' names, money as decimal text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.watch import MONEY, SUMS
from streams.core.windows.table import Table, Units, of_decimals, whole
from streams.core.windows.ticks import Parts, part_name


def parts(wire: dict[str, Any]) -> Parts:
    """The parts of a record. Raises ValueError and others on what `roll` did not write."""
    names = [
        part_name(tuple(leaf), [tuple(wire["names"][place]) for place in places])
        for leaf, places in zip(wire["parts"], wire["members"], strict=True)
    ]
    rows: dict[str, tuple[int, Units]] = {
        name: of_decimals([Decimal(text) for text in column]) if name in MONEY else (0, whole(column))
        for name, column in wire["sums"].items() if name in SUMS
    }  # fmt: skip
    aligned: dict[str, list[int]] = {}
    for at, counts in wire["aligned"].items():
        for step, count in counts.items():
            aligned.setdefault(step, [0] * len(names))[int(at)] = count
    rows |= {step: (0, whole(column)) for step, column in aligned.items()}
    if any(len(units) != len(names) for _, units in rows.values()):
        raise ValueError("columns of other lengths")
    return Parts(names, Table.of(rows, len(names)))
