"""Rows of a file by column, some thousand at a time: what `lines` gives one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from replay.readers.base import ReaderError
from replay.readers.coded import Coded, coded, coded_values
from replay.readers.lines import Line, csv_columns, csv_digest, csv_line, csv_rows, digest, dotted, filled, parquet_file
from replay.readers.values import plain
from streams.core.usage.decode import Rejection

AT_ONCE = 8_192  # rows of a Parquet file that are read together


class Table(NamedTuple):
    """Rows by column, with their numbers, and what is wrong with those that are none. `digests` are those of the rows
    at some places, `line` is one of them as `lines` gives it."""

    cells: dict[str, Coded]
    numbers: Sequence[int]
    digests: Callable[[Sequence[int]], list[str]]
    line: Callable[[int], Line]
    faults: Sequence[tuple[int, Rejection]] = ()


def of_csv(path: Path, lower: bool) -> Iterator[Table]:
    """A CSV file."""
    tables = csv_rows(path)
    columns = csv_columns(tables, lower)
    for table in tables:
        yield _csv_table(columns, table.cells, table.numbers, table.faults)


def _csv_table(
    columns: list[str], rows: list[list[str]], numbers: Sequence[int], faults: list[tuple[int, Rejection]]
) -> Table:
    return Table(
        _by_column(columns, rows),
        numbers,
        lambda places: [csv_digest(rows[place]) for place in places],
        lambda place: csv_line(columns, numbers[place], rows[place]),
        faults,
    )


def _by_column(columns: list[str], rows: list[list[str]]) -> dict[str, Coded]:
    """The cells by column. What exports leave out at the end of their rows is empty."""
    if not rows:
        return {name: coded(()) for name in columns}
    if set(map(len, rows)) != {len(columns)}:
        rows = [[*cells, *[""] * (len(columns) - len(cells))] for cells in rows]
    return {name: coded(cells) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)}


def of_parquet(path: Path, lower: bool) -> Iterator[Table]:
    """A Parquet file. The first row is row 2, as in the same bill as CSV."""
    file = parquet_file(path)
    number = 2
    try:
        for batch in file.iter_batches(batch_size=AT_ONCE):
            yield _parquet_table(batch, number, lower)
            number += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise ReaderError(f"{path}: can't be read after row {number - 1} ({error})") from None


def _parquet_table(batch: pa.RecordBatch, first: int, lower: bool) -> Table:
    names = [name.lower() if lower else name for name in batch.schema.names]
    columns = [_values(column) for column in batch.columns]
    cells = {}
    for name, kind, (distinct, codes) in zip(names, batch.schema.types, columns, strict=True):
        cells[name] = coded_values(distinct, codes)
        for part in [field.name for field in kind] if pa.types.is_struct(kind) else ():
            inside = [value.get(part) if isinstance(value, dict) else None for value in distinct]
            cells[f"{name}.{part}"] = coded_values(inside, codes)

    def values(place: int) -> list[Any]:
        return [distinct[codes[place]] for distinct, codes in columns]

    return Table(
        cells,
        range(first, first + batch.num_rows),
        lambda places: [digest(orjson.dumps(values(place))) for place in places],
        lambda place: Line(
            first + place,
            filled(dotted(dict(zip(names, values(place), strict=True)))),
            digest(orjson.dumps(values(place))),
        ),
    )


def _values(column: pa.Array) -> tuple[list[Any], list[int]]:
    """The distinct values of a column as JSON would hold them, and for each row the place of its own."""
    if pa.types.is_nested(column.type):
        numbers: dict[bytes, int] = {}
        distinct: list[Any] = []
        codes = []
        for value in map(plain, column.to_pylist()):
            place = numbers.setdefault(orjson.dumps(value, default=str), len(distinct))
            if place == len(distinct):
                distinct.append(value)
            codes.append(place)
        return distinct, codes
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    found = [plain(value) for value in encoded.dictionary.to_pylist()]
    nothing = len(found)
    return [*found, None], np.asarray(encoded.indices.fill_null(nothing)).tolist()
