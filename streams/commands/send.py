"""`spendstream send`: put events on Kafka, from a file of events or from a bill."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from replay.readers import ReaderError, read
from replay.readers.base import Item
from replay.shifting import moved, time_of
from schemas.records import Position
from schemas.topics import DEAD_LETTERS, TOKEN_CALLS, TOPIC_BY_EVENT_TYPE, TOPICS, Topic
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.commands.pacing import AT_ONCE, Pace, Plan, plan_of
from streams.core.usage.decode import RawRecord, Rejection, dead_letter
from streams.io.kafka import make_producer, topic_name
from streams.settings import Settings

IN_FLIGHT = 2000
MOST_BYTES = 500_000  # well below what a record may have: a batch must not make good events too large
KEYS = ("principal", "cluster", "SubAccountId")


@dataclass(slots=True)
class Sent:
    """What became of a file's records. `refused` holds the rows that no broker would take."""

    records: int = 0
    events: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


def send(
    file: Annotated[Path, typer.Argument(help="NDJSON of events (plain, gzip, zstd), a bill, or - for stdin")],
    batch: Annotated[int, typer.Option("--batch", min=1, help="most events per record, as a JSON array")] = 100,
    topic: Annotated[str | None, typer.Option("--topic", help="send all to this topic, whatever the type")] = None,
    speed: Annotated[str, typer.Option(help="60x: an hour in a minute (default: as fast as it goes)")] = "",
    to_now: Annotated[bool, typer.Option("--shift-to-now", help="move all times: the first event is now")] = False,
    end_now: Annotated[bool, typer.Option("--end-now", help="so that the last event is now when it is sent")] = False,
    shift: Annotated[int | None, typer.Option(help="move all times by these seconds: to send the same again")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Put events on Kafka. What a row is worth is for the service to say: a bad one becomes a dead letter there.

    A row of a bill that is no event at all goes to the dead letters at once, with its file, its row and the reason.
    A history may be sent at the pace of its events, moved to now; the ids of moved events name the move, so that the
    same move sent twice is duplicates and another move is not.
    """
    settings = settings_of(config, overrides)
    console = Console(stderr=True)
    forced = _named(topic)
    sent = Sent()
    again = ""
    try:
        ahead = settings.limits.max_future_seconds
        plan = plan_of(file, speed, to_now=to_now, end_now=end_now, shift=shift, ahead=ahead)
        if plan.shift:
            again = f"; the same events again: --shift {plan.shift}"
            console.print(f"times are moved by {plan.shift:+,} s{again}", highlight=False)
        source = records(file, batch, forced, plan)
        first = list(islice(source, 1))  # a file that can't be read is said before a broker is looked for
        asyncio.run(sending(settings, chain(first, source), sent, console, plan))
    except ReaderError as error:
        raise UserError(str(error)) from None
    except KafkaError as error:
        problem = f"kafka at {settings.kafka.bootstrap_servers}: {type(error).__name__}"
        raise Failed(f"{problem}; {sent.events} events were acknowledged before it") from None
    except KeyboardInterrupt:
        raise Failed(f"interrupted; {sent.events} events were acknowledged{again}") from None
    for name, count in sorted(sent.by_topic.items()):
        console.print(f"{name}: {count:,} {'rows refused' if name == DEAD_LETTERS.name else 'events'}")
    console.print(f"acknowledged: {sent.events:,} events in {sent.records:,} records")
    if sent.refused:
        raise Failed(f"{len(sent.refused)} rows were refused: {'; '.join(sent.refused[:5])}")


@dataclass(frozen=True, slots=True)
class Record:
    """One record to send, of `events` events. `row` is where it began in the file."""

    topic: Topic
    key: bytes | None
    value: bytes
    events: int
    row: int
    at: float | None = None  # when its last event happened, moved, where it is sent at a pace
    joinable: bool = False  # one well-formed JSON value, which may stand in an array


def records(file: Path, batch: int, forced: Topic | None, plan: Plan = AT_ONCE) -> Iterator[Record]:
    """The file's events as records, moved and told apart by time as planned."""
    items = (moved(item, plan.shift) for item in read(file))
    single = (record_of(item, forced, file.name, at=time_of(item) if plan.speed else None) for item in items)
    yield from batched(single, batch, plan.speed)


def batched(single: Iterable[Record], batch: int, span: float | None = None) -> Iterator[Record]:
    """Records of one event joined, up to `batch` of them. An array holds neighbours of one topic, in the file's order.

    The order is kept on purpose: an array by key would span more event time than windows wait for.
    """
    waiting: dict[str, list[Record]] = {}
    for record in single:
        if span is not None and record.at is not None:
            yield from _due(waiting, record.at - span)
        if batch == 1 or not record.joinable:
            yield record
            continue
        group = waiting.setdefault(record.topic.name, [])
        if group and sum(len(one.value) for one in group) + len(record.value) > MOST_BYTES:
            yield _joined(group)
            group.clear()
        group.append(record)
        if len(group) >= batch:
            yield _joined(group)
            group.clear()
    yield from (_joined(group) for group in waiting.values() if group)


def _due(waiting: dict[str, list[Record]], before: float) -> Iterator[Record]:
    """What waits to be joined with events that are too far from it in time."""
    for group in waiting.values():
        if group and group[0].at is not None and group[0].at <= before:
            yield _joined(group)
            group.clear()


def _joined(group: list[Record]) -> Record:
    value = b"[" + b",".join(record.value for record in group) + b"]"
    return Record(group[0].topic, None, value, len(group), group[0].row, group[-1].at)


def record_of(item: Item, forced: Topic | None, file: str, at: float | None = None) -> Record:
    """An item of a reader as a record. `file` names it in a dead letter."""
    event: Any = item.event
    if item.fault is not None:
        return _refused(item, item.fault, file)
    value = item.raw if item.raw is not None else json.dumps(event).encode()
    if event is None:
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError:  # sent as it is: the service says what is wrong with it
            return Record(forced or TOKEN_CALLS, None, value, 1, item.row)
    events = len(event) if isinstance(event, list) else 1
    first = event[0] if isinstance(event, list) and event else event
    joinable = not isinstance(event, list)
    return Record(forced or _topic(first), _key(first), value, events, item.row, at, joinable)


def _refused(item: Item, fault: Rejection, file: str) -> Record:
    """A row that its reader can make no event of is a dead letter already: of this file, at this row."""
    letter = dead_letter(RawRecord(None, (), Position(file, 0, item.row), datetime.now(UTC)), None, fault, {})
    return Record(DEAD_LETTERS, letter.dead_letter_id.encode(), letter.model_dump_json().encode(), 1, item.row)


def _topic(event: Any) -> Topic:
    kind = event.get("type") if isinstance(event, dict) else None
    return TOPIC_BY_EVENT_TYPE.get(kind, TOKEN_CALLS) if isinstance(kind, str) else TOKEN_CALLS


def _key(event: Any) -> bytes | None:
    if not isinstance(event, dict):
        return None
    data = event.get("data")
    named = [data.get(name) for name in KEYS] if isinstance(data, dict) else []
    candidates = [event.get("partitionkey"), *named, event.get("source")]
    return next((value.encode() for value in candidates if isinstance(value, str) and value), None)


def _named(topic: str | None) -> Topic | None:
    if topic is None:
        return None
    found = next((t for t in TOPICS if t.name == topic), None)
    if found is None:
        raise UserError(f"--topic: there is no topic {topic}; one of {', '.join(t.name for t in TOPICS)}")
    return found


async def sending(
    settings: Settings, source: Iterator[Record], sent: Sent, console: Console, plan: Plan = AT_ONCE
) -> None:
    """Put records on Kafka in their order; `sent` says what was acknowledged, also when this is cut off."""
    producer = make_producer(settings, client_id="spendstream-send")
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.completed:,.0f} events"), TimeElapsedColumn())
    try:
        await producer.start()
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("events", total=plan.events)
            in_flight: list[tuple[Record, asyncio.Future[Any]]] = []
            pace = Pace(plan, asyncio.get_running_loop().time())
            for record in source:
                if pause := pace.pause(record.at, asyncio.get_running_loop().time()):
                    await _acknowledged(in_flight, sent)
                    progress.update(task, completed=sent.events)
                    await asyncio.sleep(pause)
                in_flight.append((record, await _start(producer, settings, record)))
                if len(in_flight) >= IN_FLIGHT:
                    await _acknowledged(in_flight, sent)
                    progress.update(task, completed=sent.events)
            await _acknowledged(in_flight, sent)
    finally:
        await producer.stop()


async def _start(producer: AIOKafkaProducer, settings: Settings, record: Record) -> asyncio.Future[Any]:
    try:
        future: asyncio.Future[Any] = await producer.send(
            topic_name(settings, record.topic), value=record.value, key=record.key
        )
    except MessageSizeTooLargeError as error:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(error)
    return future


async def _acknowledged(in_flight: list[tuple[Record, asyncio.Future[Any]]], sent: Sent) -> None:
    for record, future in in_flight:
        try:
            await future
        except MessageSizeTooLargeError:
            sent.refused.append(f"row {record.row}: {len(record.value):,} bytes is more than the topic takes")
            continue
        sent.records += 1
        sent.events += record.events
        sent.by_topic[record.topic.name] += record.events
    in_flight.clear()
