"""Batches of rows in order of `_time`, `_digest` and `_row`, in flat memory: an external sort by column.

`RUN` rows are sorted in memory at a time; when there are more, each run is written to a temporary file without a name,
compressed, and the runs are merged, a block of each in memory.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

RUN = 50_000  # rows in memory while sorting, some 300 bytes each
BLOCK = 2_048  # rows of each run in memory while merging
GIVEN = 8_192  # rows that are given out at once
_BY = [("_time", "ascending"), ("_digest", "ascending"), ("_row", "ascending")]
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")

Key = tuple[float, str, int]


def in_order(batches: Iterable[pa.RecordBatch], run: int = RUN, block: int = BLOCK) -> Iterator[pa.RecordBatch]:
    """The rows of all batches, which have the same columns, sorted."""
    runs = _runs(batches, run)
    first = next(runs, None)
    if first is None:
        return
    second = next(runs, None)
    if second is None:
        yield from _cut(first, GIVEN)
        return
    with tempfile.TemporaryFile() as file:
        heads = [_spill(file, first, block), _spill(file, second, block), *(_spill(file, one, block) for one in runs)]
        file.flush()
        yield from _merged(file, heads)


def _runs(batches: Iterable[pa.RecordBatch], run: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= run:
            yield _sorted(held)
            held, rows = [], 0
    if rows:
        yield _sorted(held)


def _sorted(held: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(held)
    return table.take(pc.sort_indices(table, _BY))


def _cut(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, table.num_rows, rows):
        yield from table.slice(start, rows).combine_chunks().to_batches()


@dataclass(slots=True)
class _Run:
    """A sorted run in the file: where its blocks are, and the rows of it that are in memory."""

    first: Key
    places: list[tuple[int, int]]
    rows: pa.RecordBatch
    next: int = 0

    def fill(self, file: IO[bytes]) -> bool:
        """Whether rows are left; the next block is fetched where those in memory are used up."""
        if not self.rows.num_rows:
            if self.next == len(self.places):
                return False
            start, length = self.places[self.next]
            self.next += 1
            file.seek(start)
            with pa.ipc.open_stream(file.read(length)) as stream:
                self.rows = stream.read_next_batch()
        return True

    def upto(self, key: Key) -> pa.RecordBatch:
        """Takes out the rows up to and with this one."""
        rows = self.rows
        count = bisect_right(range(rows.num_rows), key, key=lambda place: _key(rows, place))
        self.rows = rows.slice(count)
        return rows.slice(0, count)


def _spill(file: IO[bytes], table: pa.Table, rows: int) -> _Run:
    places = []
    for block in _cut(table, rows):
        start = file.tell()
        with pa.ipc.new_stream(file, block.schema, options=_LZ4) as stream:
            stream.write_batch(block)
        places.append((start, file.tell() - start))
    return _Run(_key(table, 0), places, pa.RecordBatch.from_pylist([], schema=table.schema))


def _merged(file: IO[bytes], runs: list[_Run]) -> Iterator[pa.RecordBatch]:
    """Each time what lies before the first end of a block that is in memory: nothing can still come before it."""
    held: list[pa.RecordBatch] = []
    rows = 0
    waiting = sorted(runs, key=lambda run: run.first, reverse=True)
    open_: list[_Run] = []
    while True:
        open_ = [run for run in open_ if run.fill(file)]
        # Of a bill that is in order of time as it is, one run is in memory at a time.
        while waiting and (not open_ or waiting[-1].first <= min(_key(run.rows, -1) for run in open_)):
            run = waiting.pop()
            run.fill(file)
            open_.append(run)
        if not open_:
            break
        bound = min(_key(run.rows, -1) for run in open_)
        parts = [part for run in open_ if (part := run.upto(bound)).num_rows]
        table = pa.Table.from_batches(parts)
        held += (table if len(parts) == 1 else _sorted(parts)).to_batches()
        rows += table.num_rows
        if rows >= GIVEN:
            yield from _cut(pa.Table.from_batches(held), GIVEN)
            held, rows = [], 0
    if held:
        yield from _cut(pa.Table.from_batches(held), GIVEN)


def _key(rows: pa.RecordBatch | pa.Table, place: int) -> Key:
    time, digest, row = (rows.column(name)[place].as_py() for name, _ in _BY)
    return time, digest, row
