"""From what the stages wrote on Kafka to rows: which table, what counts once, how a value is kept.

Nothing here knows ClickHouse or Kafka. A row depends on its record alone, so that a batch repeated after a crash is the
same batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import compress
from typing import Annotated, Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import Field, TypeAdapter

from schemas.oncall import AlertAction, AlertChange, RemedyChange
from schemas.records import Charge, DeadLetter
from schemas.topics import ALERT_CHANGES, ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, REMEDIES
from schemas.watch import Alert, Decomposition, Finding, Mark
from streams.core.columns.block import (
    DEFAULTS,
    KINDS,
    MAPPINGS,
    PRICES,
    TEXTS,
    TIME,
    UNIQUE,
    Block,
    Mask,
    Unfit,
    exact,
    identity_of,
    mapping,
    maps,
)
from streams.core.columns.packed import ChargeBatch, unpack
from streams.core.columns.reading import parsed

Row = tuple[Any, ...]
Columns: TypeAlias = "Mapping[str, Sequence[Any]] | pa.Table"
T = TypeVar("T")

LINEAGE = ("source_topic", "source_partition", "source_offset")
DECOMPOSITION = tuple(f"decomposition_{part}" for part in Decomposition.model_fields)
PLAIN_FINDING = tuple(name for name in Finding.model_fields if name not in {"type", "drivers", "decomposition"})
PLAIN_ALERT = tuple(name for name in Alert.model_fields if name not in {"drivers", "decomposition"})


@dataclass(frozen=True, slots=True)
class Content:
    """What a record holds: the rows of each key, which counts once. `problems` has a text for what can't be stored."""

    keys: tuple[bytes, ...] = ()
    rows: tuple[tuple[Row, ...], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many rows it has in the table."""
        return sum(map(len, self.rows))


@dataclass(frozen=True, slots=True)
class ChargeContent:
    """What a record of charges holds, by column: its keys are events, with all their parts."""

    batch: ChargeBatch
    keys: tuple[bytes, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """One text for each event that can't be stored."""
        return self.batch.problems

    @property
    def size(self) -> int:
        """How many rows it has in the table."""
        return self.batch.block.count


Contents: TypeAlias = "Sequence[Content | ChargeContent]"
"""What records of one topic hold: all of them charges, or none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where the records of a topic go. `read` may raise Unreadable."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[bytes], Content | ChargeContent]


def columns(table: Table, contents: Contents, landed_at: datetime, taken: Collection[bytes] = ()) -> Columns | None:
    """The rows of `contents` by column, with the time of landing: of each key once, of those in `taken` none.

    None where nothing is left.
    """
    left = _once([content.keys for content in contents], taken)
    if not any(map(any, left)):
        return None
    batches = [_left(c.batch, keep) for c, keep in zip(contents, left, strict=True) if isinstance(c, ChargeContent)]
    if batches:
        return _charges(batches, landed_at)
    kept = [compress(c.rows, keep) for c, keep in zip(contents, left, strict=True) if isinstance(c, Content)]
    rows = [row for of_one in kept for of_key in of_one for row in of_key]
    landed: list[tuple[Any, ...]] = [(landed_at,) * len(rows)]
    return dict(zip((*table.columns, "landed_at"), [*zip(*rows, strict=True), *landed], strict=True))


def _once(keys: Sequence[Sequence[bytes]], taken: Collection[bytes]) -> list[list[bool]]:
    """Which keys come for the first time and are not taken."""
    if not taken and len(set().union(*keys)) == sum(map(len, keys)):  # nothing comes twice: so it is mostly
        return [[True] * len(some) for some in keys]
    seen: set[bytes] = set()
    left: list[list[bool]] = []
    for some in keys:
        left.append([])
        for key in some:
            left[-1].append(key not in seen and key not in taken)
            seen.add(key)
    return left


def _left(batch: ChargeBatch, keep: Sequence[bool]) -> ChargeBatch:
    """The charges of the events that are kept."""
    if all(keep):
        return batch
    kept: Mask = np.array(keep, dtype=np.bool_)[batch.block.events()]
    return replace(batch, block=batch.block.where(kept))


def _charges(batches: Sequence[ChargeBatch], landed_at: datetime) -> pa.Table:
    """The charges as a table. A column of which each row would be what ClickHouse puts there anyway is left out."""
    batches = [batch for batch in batches if batch.block.count]
    blocks = [batch.block for batch in batches]
    made = {name: column for name in KINDS if (column := _column(blocks, name)) is not None}
    sizes = [block.count for block in blocks]
    topics = pa.array([batch.topic for batch in batches]).dictionary_encode()
    made[LINEAGE[0]] = topics.take(pa.array(np.repeat(np.arange(len(batches)), sizes)))
    made[LINEAGE[1]] = pa.array(np.repeat([batch.partition for batch in batches], sizes), pa.int32())
    made[LINEAGE[-1]] = pa.chunked_array([pa.array(block.records) for block in blocks])
    made["landed_at"] = pa.repeat(pa.scalar(landed_at, TIME), sum(sizes))
    return pa.table(made).combine_chunks()


def _column(blocks: Sequence[Block], name: str) -> pa.ChunkedArray | None:
    """A field of all charges; texts, and the keys of mappings, as dictionaries, which ClickHouse takes as they are."""
    if not any(name in block.columns for block in blocks):
        shared = [block.shared(name) for block in blocks]
        if all(value == shared[0] for value in shared):
            if not shared[0] and shared[0] == DEFAULTS.get(name):  # "", no tokens, no cost known; a cost of 0 is said
                return None
            blocks = [Block(sum(block.count for block in blocks), {name: shared[0]})]
    if name in MAPPINGS:
        return pa.chunked_array([_mappings(blocks, name)])
    of_texts = name in TEXTS - UNIQUE
    return pa.chunked_array([block.coded(name) if of_texts else block.column(name) for block in blocks])


def _mappings(blocks: Sequence[Block], name: str) -> pa.MapArray:
    coded = pa.concat_arrays([block.coded(name) for block in blocks])
    once = maps(KINDS[name], [mapping(name, text) for text in coded.dictionary.to_pylist()])
    return pa.MapArray.from_arrays(once.offsets, once.keys.dictionary_encode(), once.items).take(coded.indices)


def read_charges(value: bytes) -> ChargeContent:
    """A record of `spend.charges`."""
    batch = unpack(value)
    return ChargeContent(batch, tuple(batch.block.event_keys()))


def charge_row(charge: Charge) -> Row:
    """The charge's values in the order of its fields, as columns keep them. Raises Unfit naming the field."""
    return _values(charge, Charge.model_fields)


def read_finding(value: bytes) -> Content:
    """A record of `spend.findings`. Marks and actions are for the alert stage and put nothing into a table."""
    finding = parsed(_FINDINGS, value)
    if not isinstance(finding, Finding):
        return Content()
    return _one(
        identity_of("finding", finding.finding_id, str(finding.revision)), lambda: _watch(finding, PLAIN_FINDING)
    )


def read_alert(value: bytes) -> Content:
    """A record of `spend.alerts`."""
    alert = parsed(_ALERTS, value)
    return _one(identity_of("alert", alert.alert_id, str(alert.revision)), lambda: _watch(alert, PLAIN_ALERT))


def read_alert_change(value: bytes) -> Content:
    """A record of `spend.alert-changes`. After a crash a number may come twice; its kind tells the two apart."""
    change = parsed(_ALERT_CHANGES, value)
    key = identity_of("alert_change", change.alert_id, str(change.number), change.what, change.action_id)
    return _one(key, lambda: _values(change, AlertChange.model_fields))


def read_remedy(value: bytes) -> Content:
    """A record of `spend.remedies`."""
    change = parsed(_REMEDIES, value)
    key = identity_of("remedy", change.remedy_id, str(change.number), change.state, change.action_id)
    return _one(key, lambda: _values(change, RemedyChange.model_fields))


def read_dead_letter(value: bytes) -> Content:
    """A record of `spend.dead-letters`."""
    letter = parsed(_DEAD_LETTERS, value)
    return _one(identity_of("dead_letter", letter.dead_letter_id), lambda: _values(letter, DeadLetter.model_fields))


def _one(key: bytes, row: Callable[[], Row]) -> Content:
    try:
        return Content((key,), ((row(),),))
    except Unfit as problem:
        return Content(problems=(str(problem),))


def _values(model: Any, names: Iterable[str]) -> Row:
    """The model's values by field, as columns keep them. Raises Unfit naming the field."""
    return tuple([_kept(name, getattr(model, name)) for name in names])


def _kept(name: str, value: Any) -> Any:
    """The value as its column keeps it. Raises Unfit naming the field."""
    try:
        if isinstance(value, Decimal):
            return exact(value)
        if name in PRICES:
            return {unit: exact(price) for unit, price in value.items()}
    except Unfit as problem:
        raise Unfit(f"{name}: {problem}") from None
    return value


def _watch(state: Finding | Alert, names: tuple[str, ...]) -> Row:
    """A finding's or alert's row: plain fields, drivers as tuples, the four parts of the excess as columns."""
    drivers = [(driver.series, _kept("drivers", driver.excess_usd), driver.share) for driver in state.drivers]
    parts: Row = (None,) * len(DECOMPOSITION)
    if state.decomposition is not None:
        parts = _values(state.decomposition, Decomposition.model_fields)
    return (*_values(state, names), drivers, *parts)


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
