"""Reading what a stage wrote: each value is what it should be, or the record is unreadable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class Unreadable(ValueError):  # noqa: N818  an outcome, not an error of ours
    """A record is not what its topic's contract says. The text names field and problem, never the content."""


def parsed(adapter: TypeAdapter[T], value: bytes) -> T:
    """The JSON in `value`. Raises Unreadable with the first faults by their places."""
    try:
        return adapter.validate_json(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        places = (f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['type']}" for fault in faults[:3])
        raise Unreadable("; ".join(places)) from None


def a_time(text: str) -> datetime:
    """A time in UTC. Raises TypeError or ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def a_text(name: str, value: object) -> str:
    """`value`, which must be text. Raises TypeError with the field's name."""
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def an_integer(name: str, value: object) -> int:
    """`value`, which must be a whole number. Raises TypeError with the field's name."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(name)
    return value
