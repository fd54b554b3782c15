"""Ticks and watermarks as they stand on `spend.ticks` and in states; see `schemas.watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from schemas.watch import DIMENSIONS, MONEY, SUMS
from streams.core.windows import ticks_2, ticks_3, ticks_packed
from streams.core.windows.sums import SeriesKey, utc
from streams.core.windows.table import Table, Units, decimals, of_decimals
from streams.core.windows.ticks import Leaf, Names, Origin, PartName, Parts, Ticks, Watermark, part_name

MOST_PARTS = 2000  # in a record, which must not outgrow its topic
MOST_KNOWN = 150_000  # names of parts that are remembered
SEPARATOR = "|"  # of what a part's text has in it


class Writer:
    """Writes windows for the partitions of `spend.ticks`: a part goes to all that have a series that it counts in."""

    def __init__(self, partition_of: Callable[[SeriesKey], int] = lambda _: 0) -> None:
        self._partition_of = partition_of
        self._names: dict[Names, int] = {}
        self._known: dict[PartName, list[tuple[int, str]]] = {}

    def records(self, ticks: Ticks) -> Iterator[tuple[int, bytes]]:
        """Partitions, and what stands there of the window; in pieces where it is large."""
        shares: dict[int, tuple[list[int], list[str]]] = {}
        known = self._known
        for at, name in enumerate(ticks.parts.names):
            for partition, text in known.get(name) or self._texts(name):
                places, texts = shares.setdefault(partition, ([], []))
                places.append(at)
                texts.append(text)
        for partition, (places, texts) in shares.items():
            for number, first in enumerate(range(0, len(places), MOST_PARTS)):
                upto = first + MOST_PARTS
                table, said = ticks.parts.table.take(places[first:upto]), self._said(ticks, texts[first:upto], number)
                large = table.units.dtype == np.object_
                yield partition, _json(said, table) if large else ticks_packed.pack(said, table)

    def whole(self, ticks: Ticks) -> bytes:
        """All of a window, or of a piece of one, as JSON."""
        texts = [self._members(name.series) + _values(name.leaf) for name in ticks.parts.names]
        return _json(self._said(ticks, texts, ticks.piece), ticks.parts.table)

    def _texts(self, name: PartName) -> list[tuple[int, str]]:
        """The partitions that a part goes to, and what it is called there."""
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        here: dict[int, list[SeriesKey]] = {}
        for series in name.series:
            here.setdefault(self._partition_of(series), []).append(series)
        values = _values(name.leaf)
        texts = self._known[name] = [(partition, self._members(series) + values) for partition, series in here.items()]
        return texts

    def _members(self, series: Iterable[SeriesKey]) -> str:
        members = [self._names.setdefault(tuple(name for name, _ in one), len(self._names)) for one in series]
        return ",".join(map(str, members))

    def _said(self, ticks: Ticks, texts: Sequence[str], piece: int) -> dict[str, Any]:
        """What is said of a window beside its sums."""
        return {
            "type": "ticks",
            "meter": ticks.meter,
            "window_start": utc(ticks.start).isoformat(),
            "window_seconds": ticks.seconds,
            "topic": ticks.origin.topic,
            "partition": ticks.origin.partition,
            "piece": piece,
            "names": list(self._names),
            "parts": texts,
        }


def _json(said: dict[str, Any], table: Table) -> bytes:
    return orjson.dumps({**said, **table_to_json(table)})


def table_to_json(table: Table) -> dict[str, Any]:
    """A table's rows that have something in them, for `table_from_json`: what `schemas.watch.Ticks` says of `sums`,
    `places` and `aligned`."""
    sums: dict[str, Any] = {}
    places: dict[str, int] = {}
    aligned: dict[str, Any] = {}
    large = table.units.dtype == np.object_  # for numbers in JSON, it may be
    for field, decimal_places, row in zip(table.fields, table.places, table.units.tolist(), strict=True):
        if not any(row):
            continue
        if field not in SUMS:
            aligned[field] = row
        elif large:
            sums[field] = [str(amount) for amount in decimals(row, decimal_places, exact=True)]
        else:
            sums[field] = row
            if field in MONEY:
                places[field] = decimal_places
    return {"sums": sums, "places": places, "aligned": aligned}


def table_from_json(wire: dict[str, Any], count: int) -> Table:
    """The reverse of `table_to_json`, of so many parts. Raises ValueError, TypeError or LookupError on what that did
    not write."""
    sums, places, aligned = wire["sums"], wire["places"], wire["aligned"]
    fields = [name for name in SUMS if name in sums]
    steps = sorted(aligned, key=int)
    columns = [*(sums[name] for name in fields), *(aligned[step] for step in steps)]
    if any(len(column) != count for column in columns):
        raise ValueError("columns of other lengths")
    if not count:
        return Table.of({}, 0)
    units = np.array(columns)
    if units.dtype == np.int64 and units.ndim == 2:
        decimal_places = (*(places[name] if name in MONEY else 0 for name in fields), *(0 for _ in steps))
        return Table((*fields, *steps), decimal_places, units)
    rows = {name: _row(sums[name], places.get(name, 0)) for name in fields}
    return Table.of(rows | {step: _row(aligned[step], 0) for step in steps}, count)


def _row(column: Sequence[Any], places: int) -> tuple[int, Units]:
    """A row of a table: whole numbers, or decimals as text where some are too large for that."""
    if isinstance(column[0], str):
        return of_decimals([Decimal(text) for text in column], least=0)
    units = np.array(column)
    if units.dtype != np.int64 or units.ndim != 1:
        raise TypeError("sums")
    return places, units


def watermark_to_json(mark: Watermark) -> bytes:
    """A watermark as `schemas.watch.Watermark` describes it."""
    return orjson.dumps(
        {
            "type": "watermark",
            "meter": mark.meter,
            "window_seconds": mark.seconds,
            "topic": mark.origin.topic,
            "partition": mark.origin.partition,
            "time": utc(mark.time).isoformat(),
            "idle": mark.idle,
            "over": mark.over,
        }
    )


def from_json(value: bytes) -> list[Ticks] | Watermark:
    """What stands on `spend.ticks` or in a state, also as it was until format 4.

    Raises ValueError on what `roll` did not write.
    """
    try:
        return _from_json(value)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no ticks and no watermark ({type(error).__name__})") from None


def is_packed(value: bytes) -> bool:
    """Whether this is a window that is no JSON."""
    return value.startswith(ticks_packed.MARK)


def _from_json(value: bytes) -> list[Ticks] | Watermark:
    wire, table = ticks_packed.unpack(value) if is_packed(value) else (orjson.loads(value), None)
    meter, seconds, origin = wire["meter"], wire["window_seconds"], Origin(wire["topic"], wire["partition"])
    if wire["type"] == "watermark":
        return Watermark(meter, seconds, origin, _epoch(wire["time"]), wire["idle"], wire.get("over", False))
    window = Ticks(meter, seconds, _epoch(wire["window_start"]), origin)
    if "ticks" in wire:
        return ticks_2.by_series(window, wire)
    window.piece = wire["piece"]
    if "members" in wire:
        window.parts = ticks_3.parts(wire)
        return [window]
    texts = wire["parts"]
    names = _reader(tuple(map(tuple, wire["names"]))).names(texts)
    window.parts = Parts(names, table if table is not None else table_from_json(wire, len(texts)))
    return [window]


def _epoch(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


class _Reader:
    """Remembers what parts are called, where series are named by these dimensions."""

    def __init__(self, names: tuple[Names, ...]) -> None:
        self._names = names
        self._known: dict[str, PartName] = {}
        self._series: dict[SeriesKey, SeriesKey] = {}  # those of one name are one: each counts many parts

    def names(self, texts: Sequence[str]) -> list[PartName]:
        """The parts that `Writer` called so."""
        known = self._known
        try:
            return [known[text] for text in texts]
        except KeyError:
            return [known.get(text) or self._name_of(text) for text in texts]

    def _name_of(self, text: str) -> PartName:
        members, *values = text.split(SEPARATOR)
        if len(values) != len(DIMENSIONS):
            raise ValueError("a part has other dimensions")
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
            self._series.clear()
        leaf = tuple(map(_plain, values))
        name = part_name(leaf, [self._names[int(place)] for place in members.split(",") if place])
        series = tuple(self._series.setdefault(key, key) for key in name.series)
        known = self._known[text] = PartName(leaf, name.key, series)
        return known


_reader = lru_cache(maxsize=64)(_Reader)  # of few: names come from the setting `roll.series`


def _values(leaf: Leaf) -> str:
    """A part's values, each behind a separator, and without one in it by the escapes of a JSON pointer."""
    text = SEPARATOR.join(("", *leaf))
    if "~" not in text and text.count(SEPARATOR) == len(leaf):
        return text
    return SEPARATOR.join(("", *(value.replace("~", "~0").replace(SEPARATOR, "~1") for value in leaf)))


def _plain(value: str) -> str:
    return value.replace("~1", SEPARATOR).replace("~0", "~") if "~" in value else value
