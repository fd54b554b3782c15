"""Line items by column, each value held to its contract once: what `streams.core.usage.quick` does for one event.

A row stands here with exactly what the full validation would make of it, or it is said to be odd and goes that way.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from replay.readers.coded import NOTHING, ODD, Coded, Codes, Fields, Mask, flagged
from replay.readers.values import CACHED, seconds
from schemas.base import Amount
from schemas.events import LineItem
from streams.core.usage import quick

MONEY = pa.decimal128(38, 18)
TIME = pa.timestamp("us", tz="UTC")
PLAIN_AMOUNT = r"^-?[0-9]{1,12}(\.[0-9]{1,18})?$"
MOST = Decimal(10) ** 12  # beyond, a sum of a column would come near to what it holds
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_amount = TypeAdapter(Amount)
_REQUIRED = frozenset(name for name, field in LineItem.model_fields.items() if field.is_required())
_ONE_BY_ONE = frozenset({"ChargeCategory", "ChargeClass", "BillingCurrency"})  # few values, of a form of their own


def checked(fields: Fields, rows: int) -> tuple[dict[str, pa.Array], Mask]:
    """The columns as Arrow has them, and the rows that are good. What stands in the others means nothing."""
    good = np.ones(rows, np.bool_)
    columns: dict[str, pa.Array] = {}
    if not fields.keys() >= _REQUIRED:
        good[:] = False
    for name, column in fields.items():
        codes, array = _column(name, column)
        good &= codes != ODD
        if name in _REQUIRED:
            good &= codes != NOTHING
        columns[name] = array
    if good.any():
        start, end = (columns[name].cast(pa.int64()).fill_null(0) for name in ("ChargePeriodStart", "ChargePeriodEnd"))
        good &= end.to_numpy() >= start.to_numpy()
    return columns, good


def _column(name: str, column: Coded) -> tuple[Codes, pa.Array]:
    """The codes with what is refused as odd, and the column's values by row."""
    column = column.only_numbers() if name in quick.AMOUNTS else column.only_text()
    if name in quick.AMOUNTS:
        values, fine = _amounts(column.values)
    elif name in quick.TIMES:
        values, fine = _times(column.values)
        if name == "ChargePeriodStart":  # what is no time to a reader has no place in the order
            fine &= np.array(
                [value is not None and seconds(value) is not None for value in column.values.to_pylist()], np.bool_
            )
    else:
        values, fine = column.values, _texts(name, column.values)
    codes = column.codes
    if not fine.all():
        codes = np.where(flagged(~fine, codes), ODD, codes).astype(np.int32)
    if len(values) == 0:
        return codes, pa.nulls(len(codes), values.type)
    mask = codes < 0
    return codes, values.take(pa.array(codes, mask=mask if mask.any() else None))


def _texts(name: str, values: pa.StringArray) -> Mask:
    if name in _ONE_BY_ONE:
        check = quick.check_of(name)
        return np.array([check(value) is not quick.NO for value in values.to_pylist()], np.bool_)
    if name == "Tags":  # JSON of ours
        return np.ones(len(values), np.bool_)
    longest = quick.LONGEST_TEXT if name in quick.TEXTS else quick.LONGEST_NAME
    fine: Mask = pc.less_equal(pc.utf8_length(values), longest).fill_null(True).to_numpy(zero_copy_only=False)
    return fine


def _amounts(values: pa.StringArray) -> tuple[pa.Array, Mask]:
    plain = pc.match_substring_regex(values, PLAIN_AMOUNT)
    if pc.all(plain).as_py() is not False:
        return values.cast(MONEY), np.ones(len(values), np.bool_)
    fine = plain.to_numpy(zero_copy_only=False).copy()
    array = pc.if_else(plain, values, "0").cast(MONEY)
    others: list[Decimal | None] = []
    for place in np.flatnonzero(~fine).tolist():
        amount = _other_amount(values[place].as_py())
        fine[place] = amount is not None
        others.append(amount)
    return pc.replace_with_mask(array, pc.invert(plain), pa.array(others, MONEY)), fine


@lru_cache(CACHED)
def _other_amount(text: str) -> Decimal | None:
    """An amount in any other spelling that the contract takes: `5e-06`."""
    try:
        amount = _amount.validate_python(text)
    except ValidationError:
        return None
    return amount if abs(amount) < MOST else None


def _times(values: pa.StringArray) -> tuple[pa.Array, Mask]:
    check = quick.check_of("ChargePeriodStart")
    moments = [check(value) for value in values.to_pylist()]
    micros = [(one - _EPOCH) // _MICROSECOND if isinstance(one, datetime) else None for one in moments]
    fine = np.array([one is not None for one in micros], np.bool_)
    return pa.array(micros, pa.int64()).cast(TIME), fine
