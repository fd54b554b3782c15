"""What readers of model calls share: cells as the fields of a token call, by tables of (field, columns)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from genai_prices.data_snapshot import get_snapshot

from replay.readers.values import CACHED, Row, first_given, given, whole
from schemas.records import Reason
from streams.core.usage.decode import Rejected

Table = tuple[tuple[str, ...], ...]
"""Lines of (field of the event, column, column, ...): the first column that is filled wins."""

UNKNOWN = "unknown"
LONGEST = 256  # of a name or a tag's value in an event


def texts(row: Row, table: Table) -> dict[str, object]:
    """The fields that are text."""
    found = ((field, first_given(row, columns)) for field, *columns in table)
    return {field: str(value)[:LONGEST] for field, value in found if value is not None}


def counts(row: Row, table: Table) -> dict[str, int]:
    """The fields that are counts, those that are given. Raises Rejected on what is no whole number."""
    found: dict[str, int] = {}
    for field, *columns in table:
        column = next((name for name in columns if name in row), None)
        if column is not None:
            found[field] = whole(row, column)
    return found


def needs_any(found: Mapping[str, object], fields: Iterable[str], column: str) -> None:
    """Raises Rejected, naming the column, where none of the counts is given: a call without any would cost nothing."""
    if not any(field in found for field in fields):
        raise Rejected(Reason.MISSING_FIELD, column, "has no value")


def summed(found: dict[str, int], whole_field: str, parts: Iterable[str]) -> None:
    """Makes a whole of what was counted beside each other: uncached and cached input."""
    found[whole_field] = sum(found.get(part, 0) for part in (whole_field, *parts))


def nested(row: Row, column: str) -> dict[str, Any]:
    """A cell that holds an object: as JSON text in CSV. Empty where it is none."""
    value = row.get(column)
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return {key: one for key, one in value.items() if given(one)} if isinstance(value, dict) else {}


def tags_of(pairs: Mapping[str, object]) -> dict[str, str]:
    """Tags that an event may carry: short text, no more than it takes."""
    texts_ = ((str(key)[:128], value) for key, value in pairs.items() if isinstance(value, str | int | float | bool))
    return dict([(key, str(value)[:LONGEST]) for key, value in texts_][:64])


@lru_cache(CACHED)
def provider_of(model: str) -> str:
    """Who a model is from, by its name, as genai-prices knows it; `unknown` where it does not."""
    head, slash, _ = model.partition("/")
    if slash:
        return head
    try:
        return get_snapshot().find_provider(model, None, None).id
    except LookupError:
        return UNKNOWN
