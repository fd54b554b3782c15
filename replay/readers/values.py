"""Cells of exports: what is not there, times, tags and whole numbers, each in the one spelling that our events take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from schemas.base import MOST, plain_decimal
from schemas.records import Reason
from streams.core.usage.decode import Rejected

Row = Mapping[str, Any]
"""A row by column, without the cells that hold nothing. The others are what JSON knows: text from CSV, numbers and
nested values from JSON and Parquet."""

MISSING = frozenset({"", "NULL", "null", "None"})  # how exports spell what is not there
CACHED = 65_536  # a bill has few distinct times and tags, each on very many rows


def given(value: object) -> bool:
    """Whether a cell holds something. Zero does."""
    return value is not None and not (isinstance(value, str) and value in MISSING)


def first_given(row: Row, columns: Iterable[str]) -> Any:
    """The first of several columns that holds something, else None."""
    return next((row[column] for column in columns if column in row), None)


@lru_cache(CACHED)
def moment(text: str) -> str:
    """A time as RFC 3339, in UTC when it names no zone; text that is none is passed on, to be refused by its field."""
    try:
        time = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        return text
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


@lru_cache(CACHED)
def next_day(time: str) -> str:
    """A day later, as RFC 3339; text that is no time is passed on, to be refused by its field."""
    try:
        return (datetime.fromisoformat(time) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return time


@lru_cache(CACHED)
def seconds(text: str) -> float | None:
    """A time as epoch seconds; None when the text is none."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def as_json(found: Mapping[str, str]) -> str:
    """Tags as a cell of ours holds them."""
    return orjson.dumps(found).decode()


def needed(row: Row, column: str) -> Any:
    """A cell that a row can't do without. Raises Rejected, naming the column, when it holds nothing."""
    if column not in row:
        raise Rejected(Reason.MISSING_FIELD, column, "has no value")
    return row[column]


def number(row: Row, column: str) -> Decimal:
    """A finite number. Raises Rejected, naming the column, on what is none: a made-up one would be billed."""
    try:
        found = Decimal(str(needed(row, column)))
    except ArithmeticError:
        raise Rejected(Reason.WRONG_TYPE, column, "must be a number") from None
    if not found.is_finite():
        raise Rejected(Reason.NOT_FINITE, column, "must be finite")
    return found


def whole(row: Row, column: str) -> int:
    """A count. Raises Rejected, naming the column, on what is no whole number or beyond any count."""
    found = number(row, column)
    if abs(found) > MOST:
        raise Rejected(Reason.OUT_OF_RANGE, column, "is beyond any count")
    if found != int(found):
        raise Rejected(Reason.WRONG_TYPE, column, "must be a whole number")
    return int(found)


def tags(value: object) -> dict[str, str]:
    """A cell of tags: JSON text, or what Parquet makes of a map. What is neither is no tags."""
    if isinstance(value, str):
        return dict(_tags_of_text(value))
    if isinstance(value, list):  # the entries of a map; of anything else there is no telling
        value = {str(pair[0]): pair[1] for pair in value if isinstance(pair, list | tuple) and len(pair) == 2}
    if not isinstance(value, dict):
        return {}
    return {str(key): _text(one) for key, one in value.items()}


@lru_cache(CACHED)
def _tags_of_text(text: str) -> dict[str, str]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return tags(found) if isinstance(found, dict) else {}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def plain(value: Any) -> Any:
    """A Parquet cell as JSON would hold it: money keeps every digit as text."""
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, bytes):  # older writers don't say that their text is text
        value = value.decode("utf-8", "replace")
    if isinstance(value, datetime | date):
        return value.isoformat()  # a time without a zone is given UTC by whoever reads it as a time
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
