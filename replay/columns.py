"""Charges as Arrow columns, built a column at a time: what `charges.parquet` is made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate, chain
from typing import Any, get_args

import pyarrow as pa

from schemas.records import Charge

MONEY = pa.decimal128(38, 18)
_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    Decimal: MONEY,
    datetime: pa.timestamp("us", tz="UTC"),
}
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def _arrow_type(name: str, annotation: Any) -> pa.DataType:
    if name in {"unit_prices", "counts"}:
        return pa.map_(pa.string(), MONEY)
    if name in {"tags", "price_context"}:
        return pa.map_(pa.string(), pa.string())
    if annotation in _ARROW:
        return _ARROW[annotation]
    for part in get_args(annotation):
        if part in _ARROW:
            return _ARROW[part]
        for inner in get_args(part):
            if inner in _ARROW:
                return _ARROW[inner]
    return pa.string()  # enumerations and literals


CHARGES = pa.schema([(name, _arrow_type(name, field.annotation)) for name, field in Charge.model_fields.items()])
"""The columns of `charges.parquet`: those of `schemas.records.Charge`, money as decimals of 18 places."""


def batch(charges: Sequence[Charge]) -> pa.RecordBatch:
    """The charges, of which there is at least one, as a batch of `CHARGES`."""
    contents = [vars(charge) for charge in charges]  # a model's own attribute look-up takes twice as long
    arrays = [_column(field.type, [content[field.name] for content in contents]) for field in CHARGES]
    return pa.RecordBatch.from_arrays(arrays, schema=CHARGES)


def _column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_map(kind):
        return _maps(kind, values)
    first = values[0]
    if values.count(first) == len(values):  # most columns of a bill hold one value: nothing, or the same
        return pa.repeat(pa.scalar(first, type=kind), len(values)) if first is not None else pa.nulls(len(values), kind)
    if pa.types.is_timestamp(kind):
        known: dict[datetime, int] = {}
        for time in values:
            if time not in known:
                known[time] = (time - _EPOCH) // _MICROSECOND
        return pa.array([known[time] for time in values], type=pa.int64()).cast(kind)
    return pa.array(values, type=kind)


def _maps(kind: pa.DataType, values: Sequence[dict[str, Any]]) -> pa.Array:
    offsets = pa.array([0, *accumulate(map(len, values))], type=pa.int32())
    keys = pa.array(list(chain.from_iterable(values)), type=kind.key_type)
    items = pa.array(list(chain.from_iterable(one.values() for one in values)), type=kind.item_type)
    return pa.MapArray.from_arrays(offsets, keys, items, type=kind)
