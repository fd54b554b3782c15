"""A history under other times: every time of an event moved by the same number of seconds, and its identity with it.

The id of a moved event names the move, so that a history moved to today is another one than it was, or than the same
moved by another number of seconds, while the same move made twice gives the same events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from replay.readers import Item
from replay.readers.values import seconds
from schemas.base import plain_decimal
from schemas.events import LINE_ITEM
from streams.core.usage.decode import Rejected, parse_json

PERIODS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
MINUTE, HOUR = 60, 3600


@dataclass(slots=True)
class Timeline:
    """How many items a history has, and from when to when its events are, in epoch seconds; None where none tells."""

    items: int = 0
    first: float | None = None
    last: float | None = None
    step: int = MINUTE  # a move by whole steps leaves buckets and charge periods on the clock that they were on

    def move(self, to: float) -> int:
        """By how many seconds to move so that the first event is at `to`, or up to a step before."""
        return 0 if self.first is None else int((to - self.first) // self.step) * self.step


def timeline(items: Iterable[Item]) -> Timeline:
    """One reading of a history."""
    found = Timeline()
    for item in items:
        found.items += 1
        for event in _events(item):
            if _is_bill(event):
                found.step = HOUR
        time = time_of(item)
        if time is not None:
            found.first = time if found.first is None else min(found.first, time)
            found.last = time if found.last is None else max(found.last, time)
    return found


def time_of(item: Item) -> float | None:
    """When the item's last event happened, in epoch seconds; None where it has none that can be read."""
    times = (seconds(event["time"]) for event in _events(item) if isinstance(event.get("time"), str))
    return max((time for time in times if time is not None), default=None)


def moved(item: Item, by: int) -> Item:
    """The item `by` seconds later, or earlier. What is no event stays as it is, to be refused as it was."""
    if not by or item.fault is not None:
        return item
    if item.event is not None:
        return item._replace(event=_moved(item.event, by), time=None if item.time is None else item.time + by)
    parsed = _parsed(item)
    if isinstance(parsed, list):
        return item._replace(raw=_written([_moved(one, by) for one in parsed]))
    return item._replace(raw=_written(_moved(parsed, by))) if isinstance(parsed, dict) else item


def _events(item: Item) -> list[dict[str, Any]]:
    found = item.event if item.event is not None else _parsed(item)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _parsed(item: Item) -> Any:
    try:
        return parse_json(item.raw or b"")
    except Rejected:
        return None


def _is_bill(event: dict[str, Any]) -> bool:
    return event.get("type") == LINE_ITEM


def _moved(event: Any, by: int) -> Any:
    if not isinstance(event, dict):
        return event
    after = {**event, "time": _time(event.get("time"), by)} if "time" in event else dict(event)
    if isinstance(event.get("id"), str):
        after["id"] = f"{event['id']}{by:+d}s"
    data = event.get("data")
    if isinstance(data, dict) and _is_bill(event):
        after["data"] = {**data, **{name: _time(data[name], by) for name in PERIODS if name in data}}
    return after


def _time(value: object, by: int) -> object:
    try:
        return (datetime.fromisoformat(value) + timedelta(seconds=by)).isoformat() if isinstance(value, str) else value
    except (ValueError, OverflowError):
        return value


def _written(value: object) -> bytes:
    return json.dumps(value, default=_text).encode()


def _text(value: object) -> object:
    return plain_decimal(value) if isinstance(value, Decimal) else str(value)
