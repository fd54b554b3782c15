"""Rows in order of time, in flat memory: an external sort.

Rows are packed as they come; each `RUN` of them is sorted and, when there are more, written to a temporary file without
a name, which the system removes with the process. The runs are then merged, a block of each in memory at a time.
"""

from __future__ import annotations

import heapq
import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any

import pyarrow as pa

from replay.readers.base import Item
from schemas.records import Reason
from streams.core.usage.decode import Rejection

RUN = 50_000  # rows in memory, about 2 kB each
BLOCK = 64  # rows of each run in memory while merging
Packed = tuple[float, str, int, bytes]
"""Time, id, row, and the rest: compared in this order, which no two rows of a file share."""
Place = tuple[int, int, int]
"""Where a block lies in the file, how long it is, and how long when unpacked."""


def in_order(items: Iterable[Item], run: int = RUN, *, named: bool = False) -> Iterator[Item]:
    """The items sorted by time. Equal rows stand together, so that their ids can be told apart by counting, unless the
    rows are `named` by ids of their own."""
    shapes = Shapes()
    number = _as_named if named else _numbered
    packed = map(shapes.pack, items)
    batch = sorted(islice(packed, run))
    if len(batch) < run:
        yield from number(shapes, batch)
        return
    with tempfile.TemporaryFile() as file:
        runs: list[list[Place]] = []
        while batch:
            runs.append(_spill(file, batch))
            batch = sorted(islice(packed, run))
        file.flush()
        yield from number(shapes, heapq.merge(*(_read(file, places) for places in runs)))


def _numbered(shapes: Shapes, rows: Iterable[Packed]) -> Iterator[Item]:
    """The items. The n-th of equal rows is `<hash>-n`, in whatever file and order a bill is loaded again."""
    last, times = "", 0
    for packed in rows:
        times = times + 1 if packed[1] == last else 1
        last = packed[1]
        yield shapes.unpack(packed, f"{last}-{times}")


def _as_named(shapes: Shapes, rows: Iterable[Packed]) -> Iterator[Item]:
    for packed in rows:
        yield shapes.unpack(packed, packed[1])


class Shapes:
    """Packs items. Rows of a file name the same few sets of fields, which are kept once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._shapes: list[tuple[str, ...]] = []

    def pack(self, item: Item) -> Packed:
        if item.event is None:
            fault = item.fault or Rejection(Reason.NOT_AN_EVENT)
            return 0.0, "", item.row, marshal.dumps((fault.reason.value, fault.field, fault.problem))
        event: dict[str, Any] = item.event
        shape = (event["source"], event["type"], *event["data"])
        number = self._numbers.setdefault(shape, len(self._shapes))
        if number == len(self._shapes):
            self._shapes.append(shape)
        rest = marshal.dumps((number, item.time, event.get("time"), *event["data"].values()))
        return item.time or 0.0, event["id"], item.row, rest

    def unpack(self, packed: Packed, name: str) -> Item:
        """The item; `name` is the event's id."""
        row, rest = packed[2], marshal.loads(packed[3])  # noqa: S302  our own bytes, in a file that has no name
        if not packed[1]:
            return Item(row=row, fault=Rejection(Reason(rest[0]), *rest[1:]))
        number, seconds, time, *values = rest
        source, kind, *fields = self._shapes[number]
        event: dict[str, object] = {"specversion": "1.0", "id": name, "source": source, "type": kind}
        if time is not None:
            event["time"] = time
        event["data"] = dict(zip(fields, values, strict=True))
        return Item(row=row, event=event, time=seconds)


def _spill(file: IO[bytes], rows: list[Packed]) -> list[Place]:
    places: list[Place] = []
    for start in range(0, len(rows), BLOCK):
        plain = marshal.dumps(rows[start : start + BLOCK])
        block = pa.compress(plain, codec="lz4", asbytes=True)
        places.append((file.tell(), len(block), len(plain)))
        file.write(block)
    return places


def _read(file: IO[bytes], places: list[Place]) -> Iterator[Packed]:
    for start, length, size in places:
        block = os.pread(file.fileno(), length, start)
        yield from marshal.loads(pa.decompress(block, size, codec="lz4", asbytes=True))  # noqa: S302  as above
