"""Charges as releases up to 0.1 wrote them: by column in JSON (version 2), or one object a charge (version 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from pydantic import TypeAdapter

from schemas.base import Money, maker
from schemas.records import Charge, ChargeRecord, PriceStatus
from streams.core.columns.reading import Unreadable, a_text, a_time, an_integer, parsed

VERSION = 2  # 1 was one object for each charge
Column = Sequence[Any]

DECIMALS = frozenset(name for name, field in Charge.model_fields.items() if field.annotation == Money | None)
TIMES = frozenset(name for name, field in Charge.model_fields.items() if field.annotation is datetime)
PRICES = frozenset({"counts", "unit_prices"})  # mappings of decimals
MAPPINGS = PRICES | {"price_context", "tags"}


_DEFAULTS = {
    name: field.get_default(call_default_factory=True)
    for name, field in Charge.model_fields.items()
    if not field.is_required()
}


def unpack(value: bytes) -> ChargeRecord:
    """The record that `pack` wrote, or that version 1 did. Raises Unreadable."""
    try:
        wire = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise Unreadable("value: is not JSON") from None
    if not isinstance(wire, dict):
        raise Unreadable("value: is not an object")
    version = wire.get("version", 1)
    if version == 1:
        return parsed(_VERSION_1, value)
    if version != VERSION:
        raise Unreadable(f"version: is {version!r}; this program reads 1 and {VERSION}"[:100])
    try:
        return _record(wire)
    except Unreadable:
        raise
    except (TypeError, ValueError, InvalidOperation, AttributeError, LookupError) as error:
        raise Unreadable(f"charges: {type(error).__name__}") from None


def _record(wire: dict[str, Any]) -> ChargeRecord:
    caught_up_at = wire.get("caught_up_at")
    return _make_record(
        {
            "topic": a_text("topic", wire["topic"]),
            "partition": an_integer("partition", wire["partition"]),
            "offset": an_integer("offset", wire["offset"]),
            "caught_up_at": None if caught_up_at is None else a_time(caught_up_at),
            "charges": _charges(wire, an_integer("charges", wire["charges"])),
        }
    )


def _charges(wire: dict[str, Any], count: int) -> list[Charge]:
    if not count:
        return []
    shared = {name: _read(name, [value])[0] for name, value in wire.get("same", {}).items() if name in _FIELDS}
    varying = {name: _read(name, column) for name, column in wire.get("columns", {}).items() if name in _FIELDS}
    for name, (distinct, at) in wire.get("numbered", {}).items():
        if name in _FIELDS:
            mappings = _read(name, distinct)
            varying[name] = [mappings[number] for number in at]
    for name, other in wire.get("like", {}).items():
        if name in _FIELDS:
            varying[name] = varying[other]
    missing = _REQUIRED - shared.keys() - varying.keys()
    if missing:
        raise Unreadable(f"{min(missing)}: is missing")
    if any(len(column) != count for column in varying.values()):
        raise ValueError("columns of other lengths")
    if not varying:
        return [_charge(shared) for _ in range(count)]
    names = tuple(varying)
    rows = zip(*varying.values())  # noqa: B905  their lengths are checked
    return [_charge(shared | dict(zip(names, row))) for row in rows]  # noqa: B905


def _read(name: str, column: Column) -> Column:
    """The values of a field as the charge has them. Raises TypeError or ValueError on what `pack` did not write."""
    if name in DECIMALS:
        return [None if value is None else Decimal(value) for value in column]
    if name in TIMES:
        return [a_time(value) for value in column]
    if name in PRICES:
        return [{unit: Decimal(price) for unit, price in mapping.items()} for mapping in column]
    if name == "price_status":
        return [_STATUSES[value] for value in column]
    if not set(map(type, column)) <= _TYPES[name]:
        raise TypeError(name)
    return column


_charge: Callable[[dict[str, Any]], Charge] = maker(Charge)
_make_record: Callable[[dict[str, Any]], ChargeRecord] = maker(ChargeRecord)
_FIELDS = frozenset(Charge.model_fields)
_REQUIRED = frozenset(name for name, field in Charge.model_fields.items() if field.is_required())
_STATUSES = {status.value: status for status in PriceStatus}
_TYPES: dict[str, set[type]] = {
    **{name: {type(_DEFAULTS.get(name, ""))} for name in Charge.model_fields},
    "utilization": {int, float, type(None)},
}
"""Which types of JSON value a plain field may have."""
_VERSION_1 = TypeAdapter(ChargeRecord)
