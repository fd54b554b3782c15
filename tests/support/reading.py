"""What the core makes of an item of a reader, for tests of readers."""

from __future__ import annotations

from typing import Any

from replay.readers import Item
from schemas.events import UsageEvent
from schemas.records import DeadLetter, Position
from streams.core.usage.bounds import Bounds
from streams.core.usage.decode import RawRecord, dead_letter, decode


def taken(item: Item) -> UsageEvent | DeadLetter:
    """The item's event, or its dead letter."""
    raw = RawRecord(item.raw, (), Position("file", 0, item.row), None)
    if item.fault is not None:
        return dead_letter(raw, None, item.fault, {})
    decoded = decode(raw, Bounds(), item.event)
    found: list[UsageEvent | DeadLetter] = [*decoded.events, *decoded.dead_letters]
    (one,) = found
    return one


def data(item: Item) -> dict[str, Any]:
    """The data of the item's event."""
    assert item.event is not None, item.fault
    found = item.event["data"]
    assert isinstance(found, dict)
    return found
