"""From what the stages wrote on Kafka to rows: which table, what counts once, how a value is kept.

Nothing here knows ClickHouse or Kafka. A row depends on its record alone, so that a batch repeated after a crash is the
same batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from operator import itemgetter
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from schemas.base import SCALE, SMALLEST
from schemas.oncall import AlertAction, AlertChange, RemedyChange
from schemas.records import Charge, DeadLetter
from schemas.topics import ALERT_CHANGES, ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, REMEDIES
from schemas.watch import Alert, Decomposition, Finding, Mark
from streams.core.packed import DECIMALS, PRICES, Unreadable, unpack

Row = tuple[Any, ...]
T = TypeVar("T")

DIGITS = 38  # of Decimal(38, 18): money and quantities; some bills carry 18 decimals
EXACT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)

LINEAGE = ("source_topic", "source_partition", "source_offset")
DECOMPOSITION = tuple(f"decomposition_{part}" for part in Decomposition.model_fields)
PLAIN_FINDING = tuple(name for name in Finding.model_fields if name not in {"type", "drivers", "decomposition"})
PLAIN_ALERT = tuple(name for name in Alert.model_fields if name not in {"drivers", "decomposition"})


class Unstorable(Exception):  # noqa: N818  an outcome, not an error of ours
    """A value does not fit its column. The text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What counts once: a usage event with all its parts, a revision of a finding, a dead letter."""

    key: bytes
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a record holds. `problems` has one text for each event that can't be stored."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    received_at: datetime | None = None  # when the usage record behind it came to Kafka


@dataclass(frozen=True, slots=True)
class Table:
    """Where the records of a topic go. `read` may raise Unreadable."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[bytes], Content]


def identity(kind: str, *names: str) -> bytes:
    """128 bits for what `names` identify. Their lengths go in too: a name may hold any character."""
    text = "\0".join([kind, *(f"{len(name)}\0{name}" for name in names)])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def columns(table: Table, entries: Iterable[Entry], landed_at: datetime) -> dict[str, Sequence[Any]]:
    """The rows of `entries` by column, with the time of landing. At least one entry is needed."""
    rows = [row for entry in entries for row in entry.rows]
    landed: list[tuple[Any, ...]] = [(landed_at,) * len(rows)]
    return dict(zip((*table.columns, "landed_at"), [*zip(*rows, strict=True), *landed], strict=True))


def exact(value: Decimal) -> Decimal:
    """The value as its column keeps it, rounded half to even. Raises Unstorable when it is too large."""
    try:
        return value.quantize(SMALLEST, context=EXACT)
    except InvalidOperation:
        raise Unstorable(f"has more than {DIGITS - SCALE} digits before the point") from None


def read_charges(value: bytes) -> Content:
    """A record of `spend.charges`."""
    record = unpack(value)
    lineage = (record.topic, record.partition, record.offset)
    entries: list[Entry] = []
    problems: list[str] = []
    known: dict[int, Any] = {}
    for event in _events(record.charges):
        try:
            rows = tuple([charge_row(charge, known) + lineage for charge in event])
        except Unstorable as problem:
            problems.append(str(problem))
        else:
            entries.append(Entry(identity("usage", event[0].source, event[0].id), rows))
    received_at = record.charges[0].received_at if record.charges else None
    return Content(tuple(entries), tuple(problems), received_at)


def charge_row(charge: Charge, known: dict[int, Any] | None = None) -> Row:
    """The charge's values in the order of its fields, as columns keep them. Raises Unstorable naming the field.

    `known` is what was made of a value before, by the value's id: the costs of a charge are often one object, and so
    are the unit prices of many. It must not outlive the charges.
    """
    row = list(_CHARGE_VALUES(charge.__dict__))
    made = {} if known is None else known
    for place, name in _MONEY_PLACES:
        value = row[place]
        if value is None:
            continue
        if id(value) not in made:
            made[id(value)] = _kept(name, value)
        row[place] = made[id(value)]
    return tuple(row)


def read_finding(value: bytes) -> Content:
    """A record of `spend.findings`. Marks and actions are for the alert stage and put nothing into a table."""
    finding = _parse(_FINDINGS, value)
    if not isinstance(finding, Finding):
        return Content()
    return _one(identity("finding", finding.finding_id, str(finding.revision)), lambda: _watch(finding, PLAIN_FINDING))


def read_alert(value: bytes) -> Content:
    """A record of `spend.alerts`."""
    alert = _parse(_ALERTS, value)
    return _one(identity("alert", alert.alert_id, str(alert.revision)), lambda: _watch(alert, PLAIN_ALERT))


def read_alert_change(value: bytes) -> Content:
    """A record of `spend.alert-changes`. After a crash a number may come twice; its kind tells the two apart."""
    change = _parse(_ALERT_CHANGES, value)
    key = identity("alert_change", change.alert_id, str(change.number), change.what, change.action_id)
    return _one(key, lambda: _values(change, AlertChange.model_fields))


def read_remedy(value: bytes) -> Content:
    """A record of `spend.remedies`."""
    change = _parse(_REMEDIES, value)
    key = identity("remedy", change.remedy_id, str(change.number), change.state, change.action_id)
    return _one(key, lambda: _values(change, RemedyChange.model_fields))


def read_dead_letter(value: bytes) -> Content:
    """A record of `spend.dead-letters`."""
    letter = _parse(_DEAD_LETTERS, value)
    return _one(identity("dead_letter", letter.dead_letter_id), lambda: _values(letter, DeadLetter.model_fields))


def _parse(adapter: TypeAdapter[T], value: bytes) -> T:
    try:
        return adapter.validate_json(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        places = (f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['type']}" for fault in faults[:3])
        raise Unreadable("; ".join(places)) from None


def _events(charges: Iterable[Charge]) -> Iterator[list[Charge]]:
    """The charges by event. A split event's parts stand together, in order: part 0 begins another event, also when it
    has the same identity, for then it is a duplicate within the record.
    """
    event: list[Charge] = []
    for charge in charges:
        if event and (charge.part == 0 or (charge.source, charge.id) != (event[0].source, event[0].id)):
            yield event
            event = []
        event.append(charge)
    if event:
        yield event


def _one(key: bytes, row: Callable[[], Row]) -> Content:
    try:
        return Content((Entry(key, (row(),)),))
    except Unstorable as problem:
        return Content(problems=(str(problem),))


def _values(model: Any, names: Iterable[str]) -> Row:
    """The model's values by field, as columns keep them. Raises Unstorable naming the field."""
    return tuple([_kept(name, getattr(model, name)) for name in names])


def _kept(name: str, value: Any) -> Any:
    """The value as its column keeps it. Raises Unstorable naming the field."""
    try:
        if isinstance(value, Decimal):
            return exact(value)
        if name in PRICES:
            return {unit: exact(price) for unit, price in value.items()}
    except Unstorable as problem:
        raise Unstorable(f"{name}: {problem}") from None
    return value


def _watch(state: Finding | Alert, names: tuple[str, ...]) -> Row:
    """A finding's or alert's row: plain fields, drivers as tuples, the four parts of the excess as columns."""
    drivers = [(driver.series, _kept("drivers", driver.excess_usd), driver.share) for driver in state.drivers]
    parts: Row = (None,) * len(DECOMPOSITION)
    if state.decomposition is not None:
        parts = _values(state.decomposition, Decomposition.model_fields)
    return (*_values(state, names), drivers, *parts)


_CHARGE_VALUES = itemgetter(*Charge.model_fields)
_MONEY_PLACES = tuple((place, name) for place, name in enumerate(Charge.model_fields) if name in DECIMALS | PRICES)
_FINDINGS: TypeAdapter[Finding | Mark | AlertAction] = TypeAdapter(
    Annotated[Finding | Mark | AlertAction, Field(discriminator="type")]
)
_ALERTS = TypeAdapter(Alert)
_ALERT_CHANGES = TypeAdapter(AlertChange)
_REMEDIES = TypeAdapter(RemedyChange)
_DEAD_LETTERS = TypeAdapter(DeadLetter)

TABLES: dict[str, Table] = {
    CHARGES.name: Table("charges", (*Charge.model_fields, *LINEAGE), read_charges),
    FINDINGS.name: Table("findings", (*PLAIN_FINDING, "drivers", *DECOMPOSITION), read_finding),
    ALERTS.name: Table("alerts", (*PLAIN_ALERT, "drivers", *DECOMPOSITION), read_alert),
    ALERT_CHANGES.name: Table("alert_changes", tuple(AlertChange.model_fields), read_alert_change),
    REMEDIES.name: Table("remedy_changes", tuple(RemedyChange.model_fields), read_remedy),
    DEAD_LETTERS.name: Table("dead_letters", tuple(DeadLetter.model_fields), read_dead_letter),
}
"""By the topic's name in the contract, without a deployment's prefix."""
