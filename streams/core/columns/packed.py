"""Charges as they stand on `spend.charges`: an Arrow stream of what varies, with the rest as JSON in its metadata.

Versions 1 (one object a charge), 2 (columns of JSON) and 3 (a source partition's charges all in one partition) are
read as well. https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from schemas.records import Charge, PriceStatus
from streams.core.columns import packed_2
from streams.core.columns.block import (
    COUNTS,
    DECIMALS,
    DEFAULTS,
    IDENTITY,
    KINDS,
    MAPPINGS,
    PRICES,
    REQUIRED,
    TEXT,
    TEXTS,
    TIMES,
    Block,
    Unfit,
    joined,
    mapping,
    plain,
)  # fmt: skip
from streams.core.columns.reading import Unreadable, a_text, a_time, an_integer

VERSION = 4
_READ = (3, VERSION)  # as Arrow
HEAD = b"spendstream"
RECORDS, IDENTITIES = "#record", "#identity"  # no field can be called so
PLAIN = pa.string()
START = b"\xff\xff\xff\xff"  # of an Arrow stream; JSON never begins so


class Unwritable(ValueError):  # noqa: N818  an outcome, not an error of ours
    """Charges can't be written: text of theirs is no Unicode, for example."""


class CaughtUp(NamedTuple):
    """A source partition was read to its end at this time."""

    topic: str
    partition: int
    at: datetime


@dataclass(slots=True)
class ChargeBatch:
    """What came of the usage records `first` to `last` of a source partition: their charges, numbered by record.

    They are those whose events belong to one partition of `spend.charges`. One with `caught_up` has no charges and no
    records (-1): it says which source partitions are read to their ends. `problems` has a text for each event that an
    older release wrote and no column holds.
    """

    topic: str
    partition: int
    first: int
    last: int
    block: Block = field(default_factory=lambda: Block(0))
    caught_up: tuple[CaughtUp, ...] = ()
    problems: tuple[str, ...] = ()


def pulse(*caught_up: CaughtUp) -> ChargeBatch:
    """The batch that says which source partitions were read to their ends, and when."""
    return ChargeBatch("", -1, -1, -1, caught_up=caught_up)


def pack(batch: ChargeBatch) -> bytes:
    """The batch as bytes. Raises Unwritable."""
    block = batch.block
    arrays: dict[str, pa.Array] = {}
    names: dict[int, str] = {}
    like: dict[str, str] = {}
    for name, array in block.columns.items():
        other = names.setdefault(id(array), name)
        if other == name:
            arrays[name] = array
        else:
            like[name] = other
    if block.count > 1:
        arrays[IDENTITIES] = block.identities
    one_record = block.count and block.records[0] == block.records[-1]
    if block.count and not one_record:
        arrays[RECORDS] = pa.array(block.records)
    head: dict[str, Any] = {
        "version": VERSION, "topic": batch.topic, "partition": batch.partition, "first": batch.first,
        "last": batch.last, "charges": block.count, "same": block.same, "like": like,
    }  # fmt: skip
    if block.count == 1:
        head["identity"] = b64encode(block.identities[0].as_py()).decode()
    if one_record:
        head["record"] = int(block.records[0])
    if batch.caught_up:
        head["caught_up"] = [list(one) for one in batch.caught_up]
    try:
        metadata = {HEAD: orjson.dumps(head, default=plain)}
    except orjson.JSONEncodeError as error:
        raise Unwritable(str(error)) from None
    fields = [pa.field(name, array.type) for name, array in arrays.items()]
    rows = pa.RecordBatch.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata=metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def unpack(value: bytes) -> ChargeBatch:
    """The batch that `pack` wrote, or that an older version did. Raises Unreadable."""
    try:
        return _unpack(value) if value.startswith(START) else _older(value)
    except Unreadable:
        raise
    except (
        *(pa.ArrowException, TypeError, ValueError, ArithmeticError, AttributeError, LookupError, OSError),
        StopIteration,  # so pyarrow says that a stream ends before its rows
    ) as error:
        raise Unreadable(f"charges: {type(error).__name__}") from None


def _unpack(value: bytes) -> ChargeBatch:
    with pa.ipc.open_stream(value) as stream:
        head = orjson.loads(stream.schema.metadata[HEAD])
        if head["version"] not in _READ:
            raise Unreadable(f"version: is {head['version']!r}; this program reads 1 to {VERSION}"[:100])
        rows = stream.read_next_batch()
    rows.validate(full=True)
    count, first, last = (an_integer(name, head[name]) for name in ("charges", "first", "last"))
    arrays = dict(zip(rows.schema.names, rows.columns, strict=True))
    block = Block(count, {name: _value(name, given) for name, given in head["same"].items() if name in KINDS})
    block.columns = {name: _checked(name, array) for name, array in arrays.items() if name in KINDS}
    block.columns |= {name: block.columns[other] for name, other in head["like"].items() if name in KINDS}
    block.records = _records(arrays.get(RECORDS), head.get("record"), count, first, last)
    block.identities = _identities(arrays.get(IDENTITIES), head.get("identity"), count)
    missing = REQUIRED - block.same.keys() - block.columns.keys() if count else ()
    if missing:
        raise Unreadable(f"{min(missing)}: is missing")
    if any(len(array) != count for array in (*block.columns.values(), block.records, block.identities)):
        raise ValueError("columns of other lengths")
    topic, partition = a_text("topic", head["topic"]), an_integer("partition", head["partition"])
    at = head.get("caught_up_at")  # of one source partition: so version 3 said it
    caught_up = [(topic, partition, at)] if at is not None else head.get("caught_up", ())
    return ChargeBatch(topic, partition, first, last, block, tuple(_caught_up(*one) for one in caught_up))


def _caught_up(topic: Any, partition: Any, at: Any) -> CaughtUp:
    return CaughtUp(a_text("topic", topic), an_integer("partition", partition), a_time(at))


def _checked(name: str, array: pa.Array) -> pa.Array:
    """The array, where it is what a block has for this field. Raises TypeError or ValueError."""
    kind = array.type
    if name in TEXTS:
        good = kind == TEXT or kind == PLAIN  # noqa: PLR1714  a set of types is slower than both
    elif name in MAPPINGS:
        good = kind == TEXT
    else:
        good = kind == KINDS[name]
    if not good or (array.null_count and name not in _NULLABLE):
        raise TypeError(name)
    if name == "price_status":
        for status in array.unique().to_pylist():
            PriceStatus(status)
    elif name in MAPPINGS:
        for text in array.dictionary.to_pylist():
            mapping(name, text)
    return array


def _value(name: str, given: Any) -> Any:
    """What all charges share in a field, as charges have it. Raises TypeError or ValueError on what is none."""
    value: Any = given
    if name in DECIMALS:
        value = None if given is None else Decimal(given)
    elif name in TIMES:
        value = a_time(given)
    elif name in PRICES:
        value = {a_text(name, unit): Decimal(price) for unit, price in given.items()}
    elif name in MAPPINGS:
        value = {key: a_text(name, text) for key, text in given.items()}
    elif name == "price_status":
        value = PriceStatus(given)
    elif name in TEXTS:
        value = a_text(name, given)
    elif name in COUNTS:
        value = an_integer(name, given)
    elif not isinstance(given, bool if name == "batch" else int | float | None):
        raise TypeError(name)
    return value


def _records(array: pa.Array | None, one: Any, count: int, first: int, last: int) -> Any:
    """The record of each charge: `one` where all are of the same."""
    if array is None:
        if one is None and first != last and count:
            raise ValueError("records are not numbered")
        number = first if one is None else an_integer("record", one)
        if not first <= number <= last:
            raise ValueError("number of the record")
        return np.full(count, number, dtype=np.int64)
    numbers = array.to_numpy()
    rising = not len(numbers) or (numbers[0] >= first and numbers[-1] <= last and bool((np.diff(numbers) >= 0).all()))
    if array.type != pa.int64() or not rising:
        raise ValueError("numbers of records")
    return numbers


def _identities(array: pa.Array | None, single: Any, count: int) -> pa.Array:
    if array is None:
        return pa.array([b64decode(single, validate=True)] if count else [], type=IDENTITY)
    if array.type != IDENTITY or array.null_count:
        raise TypeError("identities")
    return array


def _older(value: bytes) -> ChargeBatch:
    record = packed_2.unpack(value)
    blocks: list[Block] = []
    problems: list[str] = []
    at = record.caught_up_at
    for event in events(record.charges):
        try:
            blocks.append(Block.of(event, [record.offset] * len(event)))
        except Unfit as problem:
            problems.append(str(problem))
    return ChargeBatch(
        record.topic, record.partition, record.offset, record.offset, joined(blocks),
        () if at is None else (CaughtUp(record.topic, record.partition, at),), tuple(problems),
    )  # fmt: skip


def events(charges: list[Charge]) -> list[list[Charge]]:
    """The charges by event. A split event's parts stand together, in order: part 0 begins another event, also when it
    has the same identity, for then it is a duplicate within the record.
    """
    found: list[list[Charge]] = []
    for charge in charges:
        if not found or charge.part == 0 or (charge.source, charge.id) != (found[-1][0].source, found[-1][0].id):
            found.append([])
        found[-1].append(charge)
    return found


_NULLABLE = frozenset(name for name, default in DEFAULTS.items() if default is None)
