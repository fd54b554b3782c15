"""Ticks as releases until format 3 wrote them: each series of a window with its own sums and its dearest parts."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

from schemas.watch import SUMS
from streams.core.windows.sums import SeriesKey, Sums
from streams.core.windows.ticks import Part, PartName, Parts, Ticks, leaf_of

NUMBER_BYTES = 7


def by_series(window: Ticks, wire: dict[str, Any]) -> list[Ticks]:
    """What a record says of the window, a piece for each series: it counted by itself, and took the place of what was
    said of it before."""
    parts = [(tuple(part["series"].items()), Sums.from_wire(part["sums"])) for part in wire["parts"]]
    found: list[Ticks] = []
    for tick in wire["ticks"]:
        series: SeriesKey = tuple(tick["series"].items())
        rest = _part(series, series, Sums.from_wire(tick["sums"]))  # what of it is in no part that is named
        rest.aligned = {int(step): count for step, count in tick["aligned"].items()}
        named = [_part(parts[at][0], series, parts[at][1]) for at in tick["parts"]]
        for part in named:
            rest.sums = _less(rest.sums, part.sums)
        rests = [rest] if rest.aligned or any(getattr(rest.sums, name) for name in SUMS) else []
        found.append(replace(window, parts=Parts.of([*named, *rests]), piece=_number(series)))
    return found


def _part(key: SeriesKey, series: SeriesKey, sums: Sums) -> Part:
    return Part(PartName(leaf_of(key), key, (series,)), sums)


def _less(whole: Sums, part: Sums) -> Sums:
    return Sums(*(getattr(whole, name) - getattr(part, name) for name in SUMS))


def _number(series: SeriesKey) -> int:
    """A number that no piece of today has, since those are few, and no other series."""
    name = "\x1f".join(f"{name}={value}" for name, value in series)
    return 1 << 8 * NUMBER_BYTES | int.from_bytes(blake2b(name.encode(), digest_size=NUMBER_BYTES).digest(), "big")
