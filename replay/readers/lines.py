"""The rows of a file, whatever they are written in: CSV, JSON lines or Parquet. Streaming: a few rows at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from replay.readers.base import ReaderError, opened
from replay.readers.values import MISSING, Row, given, plain
from schemas.records import Reason
from streams.core.usage.decode import Rejection

AT_ONCE = 8_192  # rows of a CSV file that are read together


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
    tables = csv_rows(path)
    columns = csv_columns(tables, lower)
    for table in tables:
        for number, cells in zip(table.numbers, table.cells, strict=True):
            yield csv_line(columns, number, cells)
        yield from (Line(number, {}, "", fault) for number, fault in table.faults)


class CsvRows(NamedTuple):
    """Some rows of a CSV file with their numbers, and what is wrong with those that are none."""

    numbers: Sequence[int]
    cells: list[list[str]]
    faults: list[tuple[int, Rejection]]


def csv_columns(tables: Iterator[CsvRows], lower: bool) -> list[str]:
    """The header, which comes first of what `csv_rows` gives."""
    (header,) = next(tables).cells
    return [name.lower() if lower else name for name in header]


def csv_line(columns: Sequence[str], number: int, cells: Sequence[str]) -> Line:
    """One row, which may lack the last cells."""
    row = {name: cell for name, cell in zip(columns, cells, strict=False) if cell not in MISSING}
    return Line(number, row, csv_digest(cells))


def csv_digest(cells: Sequence[str]) -> str:
    """What a row's id is made of."""
    return digest("\x1f".join(cells).encode())


def csv_rows(path: Path) -> Iterator[CsvRows]:
    """The rows of a CSV file, some thousand at a time, the header alone first. A row of an odd number of cells is a
    fault: its amounts may stand under the wrong names."""
    with opened(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="") as text:
        ends = _Ends()
        rows = csv.reader(ends.of(text))
        header = next(rows, [])
        yield CsvRows((1,), [header], [])
        widths = {len(header)}
        number = 2
        second, problem = _read(rows, 1)
        if second and 0 < len(second[0]) < len(header) and ends.whole:
            widths.add(len(second[0]))  # some exports leave out the last cells, of every row
        ends.watched = False
        while second or problem:
            yield _table(number, second, problem, widths, len(header))
            number += len(second) + bool(problem)
            second, problem = _read(rows, AT_ONCE)


def _read(rows: Iterator[list[str]], most: int) -> tuple[list[list[str]], str]:
    """The next rows, and the problem of the one behind them where the CSV reader refuses it; the next call goes on."""
    read: list[list[str]] = []
    try:
        read.extend(islice(rows, most))  # what came before an error stays
    except csv.Error as error:
        return read, str(error)
    return read, ""


def _table(first: int, rows: list[list[str]], problem: str, widths: set[int], width: int) -> CsvRows:
    behind = first + len(rows)
    numbers: Sequence[int] = range(first, behind)
    faults: list[tuple[int, Rejection]] = []
    if not widths.issuperset(map(len, rows)):
        for number, cells in zip(numbers, rows, strict=True):
            if cells and len(cells) not in widths:
                faults.append((number, _not_a_row(f"the row has {len(cells)} cells, its header {width}")))
        kept = [(number, cells) for number, cells in zip(numbers, rows, strict=True) if len(cells) in widths]
        numbers, rows = [number for number, _ in kept], [cells for _, cells in kept]
    if problem:
        faults.append((behind, _not_a_row(f"the row can't be read as CSV: {problem}")))
    return CsvRows(numbers, rows, faults)


def _not_a_row(problem: str) -> Rejection:
    return Rejection(Reason.NOT_AN_EVENT, "", problem)


class _Ends:
    """Lines as they pass, and whether the last one was whole, while that is `watched`: a cut file must not pass for a
    short row."""

    def __init__(self) -> None:
        self.whole = True
        self.watched = True

    def of(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self.whole = line.endswith(("\n", "\r"))
            yield line
            if not self.watched:
                yield from lines


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
    schema = parquet_file(path).schema_arrow
    nested = [
        f"{field.name}.{inner.name}" for field in schema if pa.types.is_struct(field.type) for inner in field.type
    ]
    return [*schema.names, *nested]


def of_parquet(path: Path, lower: bool) -> Iterator[Line]:
    """The first row is row 2, as in the same bill as CSV."""
    file = parquet_file(path)
    number = 1
    try:
        for batch in file.iter_batches(batch_size=5_000):
            for found in batch.to_pylist():
                number += 1
                row = {name.lower() if lower else name: plain(value) for name, value in found.items()}
                yield Line(number, filled(dotted(row)), digest(orjson.dumps(list(row.values()))))
    except (OSError, pa.ArrowException) as error:
        raise ReaderError(f"{path}: can't be read after row {number} ({error})") from None


def parquet_file(path: Path) -> pq.ParquetFile:
    """The file. Raises ReaderError when it is none."""
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
