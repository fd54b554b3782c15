"""The known stream: what is sent where, and what must come of it, by code that shares nothing with the service's own.

Token calls of the demo's workload with an incident in it. Beside events sent once there are events sent twice in a
record, records sent twice to their partition and to another, late events, and broken ones. A crossed stream is the same
with copies through other partitions while the window of the first is open: nothing but the duplicates may differ.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from genai_prices import Usage, calc_price

from streams.demo.workload import Workload

BEGIN = datetime(2026, 11, 2, 6, tzinfo=UTC)
PARTITIONS = 4
CROSSING = 0.05  # copies through another partition, by record
CLOSERS = 64  # of a partition
LATE = timedelta(minutes=5)  # beyond any grace: landed, but no longer watched
TOKEN_CALL = "spendstream.token_call.v1"  # noqa: S105  a type's name

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """How long, in seconds of event time, all is well, a key runs in a loop, and all is well again; and sizes."""

    calm: int
    incident: int
    after: int
    seed: int = 1
    most_events_a_record: int = 60


CI = Shape(calm=330, incident=60, after=40)
LONG = Shape(calm=700, incident=100, after=100)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record to send. `fresh` are the valid events in it that no earlier record held."""

    partition: int
    value: bytes
    events: int
    fresh: tuple[Event, ...] = ()


@dataclass(slots=True)
class Total:
    """Events and their cost."""

    events: int = 0
    usd: Decimal = Decimal(0)

    def add(self, events: int, usd: Decimal) -> None:
        self.events += events
        self.usd += usd


@dataclass(slots=True)
class Truth:
    """What must be counted, in the end or at some moment of sending."""

    read: int = 0
    all: Total = field(default_factory=Total)
    teams: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    ids: set[tuple[str, str]] = field(default_factory=set)
    dead_lettered: int = 0

    def add(self, record: SourceRecord) -> None:
        self.read += record.events
        for event in record.fresh:
            usd = price(event["data"])
            self.all.add(1, usd)
            self.teams[event["data"]["tags"]["team"]].add(1, usd)
            self.ids.add((event["source"], event["id"]))

    @property
    def duplicates(self) -> int:
        return self.read - self.all.events - self.dead_lettered


@dataclass(frozen=True, slots=True)
class Stream:
    """All records, in the order of sending."""

    records: tuple[SourceRecord, ...]
    truth: Truth


def make(shape: Shape, *, crossed: bool) -> Stream:
    """The same for the same shape."""
    rng = random.Random(shape.seed)
    records = list(_with_repeats(_records(shape, rng), rng))
    if crossed:
        records = list(_crossed(records, random.Random(shape.seed)))
    records += _closers(shape)
    truth = Truth()
    for record in records:
        truth.add(record)
    truth.dead_lettered = sum(_broken(record.value) for record in records)
    return Stream(tuple(records), truth)


def _records(shape: Shape, rng: random.Random) -> Iterator[SourceRecord]:
    """Arrays of neighbours in time, dealt to the partitions in turn."""
    seen: set[str] = set()
    waiting: list[Event] = []
    size, number = 1, 0
    for event in _events(shape, rng):
        waiting.append(event)
        if len(waiting) >= size:
            yield _record(waiting, number % PARTITIONS, seen)
            number += 1
            waiting, size = [], rng.randint(1, shape.most_events_a_record)
    if waiting:
        yield _record(waiting, number % PARTITIONS, seen)


def _events(shape: Shape, rng: random.Random) -> Iterator[Event]:
    workload = Workload(rng)
    for second in range(shape.calm + shape.incident + shape.after):
        loop = shape.calm <= second < shape.calm + shape.incident
        for event in workload.second(BEGIN + timedelta(seconds=second), loop=loop):
            if event["type"] != TOKEN_CALL:
                continue
            late = rng.random() < 0.002 and second > LATE.total_seconds()
            yield _at(event, datetime.fromisoformat(event["time"]) - LATE) if late else event


def _with_repeats(records: Iterator[SourceRecord], rng: random.Random) -> Iterator[SourceRecord]:
    """Now and then a record comes again: at once, much later, or much later in another partition."""
    later: dict[int, SourceRecord] = {}
    for number, record in enumerate(records):
        yield record
        again = SourceRecord(record.partition, record.value, record.events)
        draw = rng.random()
        if draw < 0.01:
            yield again
        elif draw < 0.02:
            later[number + 150] = again
        elif draw < 0.03:
            later[number + 150] = SourceRecord((record.partition + 1) % PARTITIONS, record.value, record.events)
        if number in later:
            yield later.pop(number)
    yield from later.values()


def _crossed(records: Iterable[SourceRecord], rng: random.Random) -> Iterator[SourceRecord]:
    """Now and then a copy of the record, or of the few before it, goes through another partition."""
    newest: deque[SourceRecord] = deque(maxlen=PARTITIONS - 1)
    for record in records:
        yield record
        newest.append(record)
        if rng.random() < CROSSING:
            copied = rng.choice(newest)
            elsewhere = (copied.partition + rng.randint(1, PARTITIONS - 1)) % PARTITIONS
            yield SourceRecord(elsewhere, copied.value, copied.events)


def _closers(shape: Shape) -> list[SourceRecord]:
    """Events far ahead in each partition: they close every window before, whatever the clock says.

    They are many, for each partition of charges has to be told by some of them.
    """
    after = BEGIN + timedelta(seconds=shape.calm + shape.incident + shape.after, minutes=15)
    workload = Workload(random.Random(0))
    first = next(event for event in workload.second(after, loop=False) if event["type"] == TOKEN_CALL)
    return [
        _record([{**_at(first, after), "id": f"closer-{n}-{m}"} for m in range(CLOSERS)], n, set())
        for n in range(PARTITIONS)
    ]


def _at(event: Event, time: datetime) -> Event:
    return {**event, "time": time.isoformat(timespec="milliseconds")}


def _record(events: list[Event], partition: int, seen: set[str]) -> SourceRecord:
    fresh = []
    for event in events:
        if event["data"]["provider"] and event["id"] not in seen:
            seen.add(event["id"])
            fresh.append(event)
    return SourceRecord(partition, json.dumps(events).encode(), len(events), tuple(fresh))


def _broken(value: bytes) -> int:
    """Events that can't be charged; a record that comes again holds them again, elsewhere: they are other letters."""
    return Counter(bool(event["data"]["provider"]) for event in json.loads(value))[False]


def price(data: Event) -> Decimal:
    """USD of one call by genai-prices alone."""
    plain, answer, cached = _unit_usd(data["provider"], data["model"])
    tokens = (int(data[f"{kind}_tokens"]) for kind in ("input", "output", "cache_read_input"))
    given, answered, read = tokens
    return (given - read) * plain + answered * answer + read * cached


@cache
def _unit_usd(provider: str, model: str) -> tuple[Decimal, Decimal, Decimal]:
    """USD per token of input, of output and of cached input, on the stream's day."""

    def one(**counts: int) -> Decimal:
        priced = calc_price(Usage(**counts), model_ref=model, provider_id=provider, genai_request_timestamp=BEGIN)
        return Decimal(priced.total_price) / 1000

    return one(input_tokens=1000), one(output_tokens=1000), one(input_tokens=1000, cache_read_tokens=1000)
