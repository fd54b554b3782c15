"""From the bytes of a Kafka record to usage events and dead letters. Nothing here raises on bad input."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NamedTuple, cast

import orjson
from pydantic import Field, ValidationError

from schemas.base import Contract, UtcTime
from schemas.events import DATA_BY_TYPE, EventType, LineItem, TokenCall, UsageData, UsageEvent
from schemas.records import DeadLetter, Position, Reason
from streams.core.price.usage_bodies import UsageBodyError, with_counts
from streams.core.usage.bounds import Bounds
from streams.core.usage.quick import quick_event, usage_event

Headers = tuple[tuple[str, bytes], ...]


class RawRecord(NamedTuple):
    """A record as it came. `received_at` is the broker's time stamp; None when a file is replayed."""

    value: bytes | None
    headers: Headers
    position: Position
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one event is refused, without anything of its content."""

    reason: Reason
    field: str = ""
    problem: str = ""


class Rejected(Exception):  # noqa: N818  an outcome, not an error of ours
    """Carries a Rejection out of the checks of one event."""

    def __init__(self, reason: Reason, field_name: str = "", problem: str = "") -> None:
        super().__init__(reason.value)
        self.rejection = Rejection(reason, field_name, problem)


@dataclass(slots=True)
class Decoded:
    """What one record held, in its order. `places` are those of the events in its array, None where it is none."""

    events: list[UsageEvent] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


class Envelope(Contract):
    """The CloudEvents attributes that we need. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md"""

    specversion: Annotated[str, Field(strict=True, pattern=r"^1\.")]
    source: Annotated[str, Field(strict=True, min_length=1, max_length=512)]
    id: Annotated[str, Field(strict=True, min_length=1, max_length=512)]
    type: Annotated[str, Field(strict=True, max_length=512)]
    time: UtcTime


def decode(raw: RawRecord, bounds: Bounds, item: object = None) -> Decoded:
    """Take a record apart: structured mode, single or an array, and binary mode (`ce_` headers).

    `item` is the one event of the record when a reader has parsed it already.
    """
    out = Decoded()
    try:
        items, is_array = ([item], False) if item is not None else items_of(raw, bounds)
    except Rejected as rejected:
        out.dead_letters.append(dead_letter(raw, None, rejected.rejection, {}))
        return out
    for index, one in enumerate(items):
        place = index if is_array else None
        try:
            out.events.append(event_of(one, raw.received_at, bounds))
            out.places.append(place)
        except Rejected as rejected:
            out.dead_letters.append(dead_letter(raw, place, rejected.rejection, one))
    return out


def dead_letter(raw: RawRecord, index: int | None, rejection: Rejection, item: object) -> DeadLetter:
    """The dead letter of one event: position and reason. Its id is the same when the record is read again."""
    named = item if isinstance(item, dict) else {}
    value = raw.value or b""
    return DeadLetter(
        dead_letter_id=hashlib.sha256(":".join(map(str, (*raw.position, index))).encode()).hexdigest()[:32],
        topic=raw.position.topic,
        partition=raw.position.partition,
        offset=raw.position.offset,
        index=index,
        reason=rejection.reason,
        field=rejection.field,
        problem=rejection.problem,
        event_source=_short(named.get("source")),
        event_id=_short(named.get("id")),
        event_type=_short(named.get("type")),
        payload_bytes=len(value),
        payload_sha256=hashlib.sha256(value).hexdigest(),
        received_at=raw.received_at or EPOCH,
    )


EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")  # a replayed file has no time of arrival


def _short(value: object) -> str:
    return value[:128].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def items_of(raw: RawRecord, bounds: Bounds, read: Callable[[bytes], Any] | None = None) -> tuple[list[Any], bool]:
    """The events of a record, parsed and not looked at yet, and whether they stand in an array. Raises Rejected.

    `read` parses what holds whole events; `parse_json` by default.
    """
    if not raw.value:
        raise Rejected(Reason.EMPTY, problem="the record has no value")
    if len(raw.value) > bounds.max_record_bytes:
        raise Rejected(Reason.TOO_LARGE, problem=f"{len(raw.value)} bytes, at most {bounds.max_record_bytes}")
    headers = {name: value for name, value in raw.headers if name.startswith("ce_")}
    if "ce_specversion" in headers:
        attributes = {name[3:]: (value or b"").decode("utf-8", "replace") for name, value in headers.items()}
        return [{**attributes, "data": parse_json(raw.value)}], False
    parsed = (read or parse_json)(raw.value)
    if isinstance(parsed, list):
        if not parsed:
            raise Rejected(Reason.EMPTY, problem="the array has no events")
        if len(parsed) > bounds.max_record_events:
            problem = f"{len(parsed)} events in one record, at most {bounds.max_record_events}"
            raise Rejected(Reason.TOO_LARGE, problem=problem)
        return parsed, True
    return [parsed], False


def parse_json(value: bytes) -> Any:
    """The JSON in `value`. Money in bills keeps every digit; NaN and Infinity are let through to be named later.

    Of what holds half a character (a lone surrogate, which no UTF-8 can carry further) `HALF` is given instead.
    """
    try:
        if b"spendstream.line_item" in value:
            return _whole(value, json.loads(_text(value), parse_float=_exact))
        return orjson.loads(value)
    except (ValueError, RecursionError):
        pass
    try:  # what Python's own json writes for NaN is no JSON, yet the neighbours in the array are good
        return _whole(value, json.loads(_text(value)))
    except (ValueError, RecursionError):
        raise Rejected(Reason.NOT_JSON, problem="the value is not JSON") from None


def _text(value: bytes) -> str:
    """UTF-8, strictly. Given bytes, `json` guesses their encoding and lets raw surrogates pass, which end `price`."""
    return value.decode("utf-8-sig")


HALF = object()
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        return Decimal("Infinity")


def _whole(value: bytes, parsed: Any) -> Any:
    """What was parsed, with HALF for each event that can't be written again."""
    if not _SURROGATE.search(value):
        return parsed
    if isinstance(parsed, list):
        return [item if _is_whole(item) else HALF for item in parsed]
    return parsed if _is_whole(parsed) else HALF


def _is_whole(item: object) -> bool:
    try:
        json.dumps(item, ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def event_of(item: object, received_at: datetime | None, bounds: Bounds) -> UsageEvent:
    """The event that a parsed item is. Raises Rejected."""
    quick = quick_event(item)
    if quick is not None:
        _check_time(quick.time, received_at, bounds)
        _check_line_item(quick.data, bounds)
        return quick
    if item is HALF:
        raise Rejected(Reason.NOT_JSON, problem="the event holds half of a surrogate pair")
    if not isinstance(item, dict):
        raise Rejected(Reason.NOT_AN_EVENT, problem="must be a JSON object with CloudEvents attributes")
    try:
        envelope = Envelope.model_validate(item)
    except ValidationError as error:
        raise _rejected(error, "") from None
    model = DATA_BY_TYPE.get(envelope.type)
    if model is None:
        raise Rejected(Reason.UNKNOWN_TYPE, "type", f"must be one of {', '.join(DATA_BY_TYPE)}")
    _check_time(envelope.time, received_at, bounds)
    if "data" not in item:
        raise Rejected(Reason.MISSING_FIELD, "data", "Field required")
    content = item["data"]
    try:
        if model is TokenCall and isinstance(content, dict):
            content = with_counts(content)
        data = model.model_validate(content)
    except ValidationError as error:
        raise _rejected(error, "data") from None
    except UsageBodyError as error:
        name, _, problem = str(error).partition(": ")
        raise Rejected(Reason.BAD_USAGE, f"data.{name}", problem) from None
    _check_line_item(data, bounds)
    kind = cast(EventType, envelope.type)
    return usage_event(
        {"source": envelope.source, "id": envelope.id, "type": kind, "time": envelope.time, "data": data}
    )


def _check_time(time: datetime, received_at: datetime | None, bounds: Bounds) -> None:
    if not bounds.oldest_year <= time.year < bounds.latest_year:
        problem = f"the year must be {bounds.oldest_year} to {bounds.latest_year - 1}"
        raise Rejected(Reason.TIME_OUT_OF_RANGE, "time", problem)
    if received_at is not None and time > received_at + bounds.max_future:
        problem = f"more than {bounds.max_future.total_seconds():.0f} s after the record's arrival"
        raise Rejected(Reason.TIME_OUT_OF_RANGE, "time", problem)


MOST_TAGS, LONGEST_TAG, LONGEST_TAG_VALUE = 256, 512, 4_096  # of a bill's row; exports put whole documents into them


def _check_line_item(data: UsageData, bounds: Bounds) -> None:
    """A bill's row: its periods in the same years as its time, its tags of a size that tables bear."""
    if not isinstance(data, LineItem):
        return
    for name in ("ChargePeriodStart", "ChargePeriodEnd"):
        year = getattr(data, name).year
        if not bounds.oldest_year <= year < bounds.latest_year:
            problem = f"the year must be {bounds.oldest_year} to {bounds.latest_year - 1}"
            raise Rejected(Reason.TIME_OUT_OF_RANGE, f"data.{name}", problem)
    if len(data.Tags) > MOST_TAGS:
        raise Rejected(Reason.OUT_OF_RANGE, "data.Tags", f"{len(data.Tags)} tags, at most {MOST_TAGS}")
    for key, value in data.Tags.items():
        if len(key) > LONGEST_TAG or len(value or "") > LONGEST_TAG_VALUE:
            problem = f"a key has at most {LONGEST_TAG} characters, its value {LONGEST_TAG_VALUE}"
            raise Rejected(Reason.OUT_OF_RANGE, "data.Tags", problem)


_TIME_FIELDS = frozenset({"time", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"})


def _rejected(error: ValidationError, prefix: str) -> Rejected:
    """The first fault, named by field and problem. The input is looked at here and goes no further."""
    first = error.errors(include_url=False)[0]
    name = _field(first["loc"])
    path = ".".join(part for part in (prefix, name) if part)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        tag, _, rest = message.partition(":")
        if tag in {Reason.PART_EXCEEDS_WHOLE, Reason.BAD_PERIOD}:
            name, _, problem = rest.partition(": ")
            return Rejected(Reason(tag), f"{prefix}.{name}", problem)
    return Rejected(_reason(first["type"], name, first.get("input")), path, message)


def _field(loc: Iterable[str | int]) -> str:
    """The field's own name. What stands below it (a tag's key) is the producer's text and stays out."""
    return next((str(part) for part in loc), "")


def _reason(kind: str, name: str, value: object) -> Reason:
    if kind == "missing":
        return Reason.MISSING_FIELD
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return Reason.NOT_FINITE
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if kind == "greater_than_equal" and is_number and value < 0:  # type: ignore[operator]
        return Reason.NEGATIVE
    if kind.startswith(("greater_than", "less_than", "string_too", "string_pattern", "too_", "literal", "decimal_")):
        return Reason.OUT_OF_RANGE
    if name in _TIME_FIELDS and isinstance(value, str):
        return Reason.BAD_TIME
    return Reason.WRONG_TYPE
