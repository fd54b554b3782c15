"""Where an export's charges come from, and the files that it is written to: CSV or Parquet, by their ending."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from replay.export import COLUMNS, Charge, Row
from replay.readers import ReaderError
from schemas.base import plain_decimal
from streams.core.columns.amounts import MONEY
from streams.core.columns.block import SCHEMA

ROWS = 5_000  # in memory at a time
_TIMES = frozenset({"BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "x_EventTime"})
_NUMBERS = frozenset({
    "ListCost", "ContractedCost", "EffectiveCost", "BilledCost", "ListUnitPrice", "ContractedUnitPrice",
    "ConsumedQuantity", "PricingQuantity", "x_EffectiveCostUsd",
})  # fmt: skip
_COUNTS = frozenset({"x_Part", "x_Requests"})


def charges_of(path: Path) -> Iterator[Charge]:
    """The charges that a replay left, in its folder or the file itself. Raises ReaderError when it is none."""
    file = path / "charges.parquet" if path.is_dir() else path
    if not file.exists():
        raise ReaderError(f"{file}: does not exist")
    try:
        parquet = pq.ParquetFile(file)
        if parquet.schema_arrow.names != SCHEMA.names:
            raise ReaderError(f"{file}: holds no charges of this version's replay")
        for batch in parquet.iter_batches(batch_size=ROWS):
            yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ReaderError(f"{file}: can't be read ({error})") from None


class Output:
    """A file under way. It has its name only when it is whole: what was cut off leaves nothing that looks finished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way = path.with_name(f".{path.name}.part")
        self._rows: list[Row] = []
        self._write = _Csv(self._under_way) if path.suffix == ".csv" else _Parquet(self._under_way)
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._write.close()
        if kind is None:
            self._under_way.replace(self._path)
        else:
            self._under_way.unlink(missing_ok=True)

    def add(self, row: Row) -> None:
        """Write one row."""
        self._rows.append(row)
        self.rows += 1
        if len(self._rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        self._write.rows(self._rows)
        self._rows.clear()


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def rows(self, rows: list[Row]) -> None:
        self._writer.writerows([_text(row.get(column)) for column in COLUMNS] for row in rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._schema = pa.schema([(column, _kind(column)) for column in COLUMNS])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def rows(self, rows: list[Row]) -> None:
        if rows:
            columns = [
                pa.array([_cell(row.get(field.name)) for row in rows], type=field.type) for field in self._schema
            ]
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _kind(column: str) -> pa.DataType:
    if column in _TIMES:
        return pa.timestamp("us", tz="UTC")
    if column in _NUMBERS:
        return MONEY
    return pa.int64() if column in _COUNTS else pa.string()


def _cell(value: Any) -> Any:
    return None if value == "" else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain_decimal(value.normalize())
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
