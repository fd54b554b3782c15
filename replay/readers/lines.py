"""The rows of a file, whatever they are written in: CSV, JSON lines or Parquet. Streaming: a few rows at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from replay.readers.base import ReaderError, opened
from replay.readers.values import MISSING, Row, given, plain
from schemas.records import Reason
from streams.core.decode import Rejection

Cells = list[str] | Rejection


class Line(NamedTuple):
    """A row and its number, or what is wrong with it. Equal rows have equal digests, in any file."""

    number: int
    row: Row
    digest: str
    fault: Rejection | None = None


def header_of(line: str) -> list[str]:
    """The columns that a CSV header line names."""
    return next(csv.reader([line]), [])


def of_csv(path: Path, lower: bool) -> Iterator[Line]:
    """The rows of a CSV file by column. The header is row 1, as an editor counts."""
    rows = csv_cells(path)
    columns = csv_columns(rows, lower)
    for number, cells in rows:
        if isinstance(cells, Rejection):
            yield Line(number, {}, "", cells)
        else:
            yield csv_line(columns, number, cells)


def csv_columns(rows: Iterator[tuple[int, Cells]], lower: bool) -> list[str]:
    """The header of what `csv_cells` gives."""
    _, header = next(rows, (1, []))
    return [name.lower() if lower else name for name in header] if isinstance(header, list) else []


def csv_line(columns: Sequence[str], number: int, cells: Sequence[str]) -> Line:
    """One row, which may lack the last cells."""
    row = {name: cell for name, cell in zip(columns, cells, strict=False) if cell not in MISSING}
    return Line(number, row, digest("\x1f".join(cells).encode()))


def csv_cells(path: Path) -> Iterator[tuple[int, Cells]]:
    """The rows of a CSV file with their numbers, the header first, or what is wrong with one. A row of an odd number of
    cells is a fault: its amounts may stand under the wrong names."""
    with opened(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="") as text:
        ends = _Ends(text)
        rows = csv.reader(ends)
        header = next(rows, [])
        yield 1, header
        widths = {len(header)}
        for number, cells in enumerate(_careful(rows), start=2):
            if isinstance(cells, str):
                yield number, Rejection(Reason.NOT_AN_EVENT, "", f"the row can't be read as CSV: {cells}")
                continue
            if not cells:
                continue
            if number == 2 and len(cells) < len(header) and ends.whole:
                widths.add(len(cells))  # some exports leave out the last cells, of every row
            if len(cells) in widths:
                yield number, cells
            else:
                problem = f"the row has {len(cells)} cells, its header {len(header)}"
                yield number, Rejection(Reason.NOT_AN_EVENT, "", problem)


class _Ends:
    """Lines as they pass, and whether the last one was whole: a cut file must not pass for a short row."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.whole = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.whole = line.endswith(("\n", "\r"))
        return line


def _careful(rows: Iterator[list[str]]) -> Iterator[list[str] | str]:
    """The rows, and the problem of each that the CSV reader refuses; it goes on with the next line."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(error)


def of_json(path: Path) -> Iterator[Line]:
    """One JSON object a line. What is nested is also found under its dotted name."""
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                found = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError:
                yield Line(number, {}, "", Rejection(Reason.NOT_JSON, "", "the line is not JSON"))
                continue
            if isinstance(found, dict):
                yield Line(number, filled(dotted(found)), digest(line.strip()))
            else:
                yield Line(number, {}, "", Rejection(Reason.NOT_AN_EVENT, "", "must be a JSON object"))


def parquet_columns(path: Path) -> list[str]:
    """The columns of a Parquet file, those within a struct under their dotted names too."""
    schema = _parquet(path).schema_arrow
    nested = [
        f"{field.name}.{inner.name}" for field in schema if pa.types.is_struct(field.type) for inner in field.type
    ]
    return [*schema.names, *nested]


def of_parquet(path: Path, lower: bool) -> Iterator[Line]:
    """The first row is row 2, as in the same bill as CSV."""
    file = _parquet(path)
    number = 1
    try:
        for batch in file.iter_batches(batch_size=5_000):
            for found in batch.to_pylist():
                number += 1
                row = {name.lower() if lower else name: plain(value) for name, value in found.items()}
                yield Line(number, filled(dotted(row)), digest(orjson.dumps(list(row.values()))))
    except (OSError, pa.ArrowException) as error:
        raise ReaderError(f"{path}: can't be read after row {number} ({error})") from None


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise ReaderError(f"{path}: is no readable Parquet file ({error})") from None


def dotted(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the parts of its nested cells under `cell.part` as well."""
    nested = [(name, value) for name, value in row.items() if isinstance(value, dict)]
    return row | {f"{name}.{part}": value for name, cell in nested for part, value in cell.items()}


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the cells that hold nothing."""
    return {name: value for name, value in row.items() if given(value)}


def digest(content: bytes) -> str:
    """What a row's id is made of."""
    return blake2b(content, digest_size=16).hexdigest()
