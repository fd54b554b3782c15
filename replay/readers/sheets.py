"""Bills by column: a file's line items in order of time, some thousand at once.

What `read` says of a file row by row is said here of whole sheets of rows. Rows that are out of the ordinary come as
items between the sheets, made the slow and exact way, so that both ways say the same in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from replay.readers.base import Item
from replay.readers.checked import checked
from replay.readers.coded import Mask
from replay.readers.events import events
from replay.readers.layouts import ByColumn, Layout
from replay.readers.lines import Line
from replay.readers.ordered import Packed, Shapes
from replay.readers.sorting import in_order
from replay.readers.tables import Table
from streams.core.usage.sheet import Sheet

FEWEST = 16  # good rows one after the other that are worth a sheet


def read_by_column(tables: Iterable[Table], layout: Layout, by_column: ByColumn) -> Iterator[Sheet | Item]:
    """The rows of a file as sheets and odd rows, in order of time."""
    shapes = Shapes()
    last, times = "", 0
    for rows in in_order(_batches(tables, layout, by_column, shapes)):
        digests = rows.column("_digest")
        names, last, times = _numbered(digests.to_pylist(), last, times)
        yield from _pieces(rows, names, layout.source, shapes)


def _numbered(digests: list[str], last: str, times: int) -> tuple[list[str], str, int]:
    """Ids: the n-th of equal rows is `<hash>-n`; equal rows stand together, maybe over several batches."""
    names = []
    for one in digests:
        times = times + 1 if one == last else 1
        last = one
        names.append(f"{one}-{times}")
    return names, last, times


def _pieces(rows: pa.RecordBatch, names: list[str], source: str, shapes: Shapes) -> Iterator[Sheet | Item]:
    odd = rows.column("_odd")
    whole = _sheet(rows, names, source)
    if odd.null_count == len(odd):
        yield whole
        return
    place = 0
    for at in np.flatnonzero(odd.is_valid().to_numpy(zero_copy_only=False)).tolist():
        yield from stretch(whole, place, at)
        time, one, number, packed = (rows.column(name)[at].as_py() for name in ("_time", "_digest", "_row", "_odd"))
        yield shapes.unpack((time, one, number, packed), names[at])
        place = at + 1
    yield from stretch(whole, place, len(names))


def item_of(sheet: Sheet, place: int) -> Item:
    """One line of a sheet as `read` gives it, but for the spelling of its values."""
    start = sheet.lines.column("ChargePeriodStart")[place].as_py()
    return Item(sheet.row(place), event=sheet.event(place), time=start.timestamp())


def stretch(whole: Sheet, begin: int, end: int) -> Iterator[Sheet | Item]:
    """The lines from one place up to another: as a sheet, or as items where they are few."""
    if end - begin < FEWEST:
        yield from (item_of(whole, place) for place in range(begin, end))
    else:
        yield whole.slice(begin, end)


def _sheet(rows: pa.RecordBatch, names: list[str], source: str) -> Sheet:
    columns = {name: rows.column(name) for name in rows.schema.names if not name.startswith("_")}
    beside = {"id": pa.array(names, pa.string()), "row": rows.column("_row")}
    return Sheet(source, pa.RecordBatch.from_pydict(columns | beside))


def _batches(tables: Iterable[Table], layout: Layout, by_column: ByColumn, shapes: Shapes) -> Iterator[pa.RecordBatch]:
    """The file's rows as they stand: good ones by column, and those that are odd, packed."""
    for table in tables:
        rows = len(table.numbers)
        found, good = checked(by_column(table.cells, rows), rows)
        yield _good_rows(found, table, good)
        odd = [table.line(place) for place in np.flatnonzero(~good).tolist()]
        odd += [Line(number, {}, "", fault) for number, fault in table.faults]
        if odd:
            yield _odd_rows(found, [shapes.pack(item) for item in events(layout, odd)])


def _good_rows(found: dict[str, pa.Array], table: Table, good: Mask) -> pa.RecordBatch:
    numbers = pa.array(table.numbers, pa.int64())
    places: Sequence[int] = range(len(numbers))
    if not good.all():
        kept = pa.array(good)
        found = {name: column.filter(kept) for name, column in found.items()}
        numbers, places = numbers.filter(kept), np.flatnonzero(good).tolist()
    times = found["ChargePeriodStart"].cast(pa.int64()).to_numpy() / 1e6
    own = {
        "_time": pa.array(times),
        "_digest": pa.array(table.digests(places), pa.string()),
        "_row": numbers,
        "_odd": pa.nulls(len(numbers), pa.binary()),
    }
    return pa.RecordBatch.from_pydict(found | own)


def _odd_rows(found: dict[str, pa.Array], packed: list[Packed]) -> pa.RecordBatch:
    times, digests, numbers, odd = zip(*packed, strict=True)
    own = {
        "_time": pa.array(times, pa.float64()),
        "_digest": pa.array(digests, pa.string()),
        "_row": pa.array(numbers, pa.int64()),
        "_odd": pa.array(odd, pa.binary()),
    }
    empty = {name: pa.nulls(len(packed), column.type) for name, column in found.items()}
    return pa.RecordBatch.from_pydict(empty | own)
