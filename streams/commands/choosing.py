"""What the commands on dead letters share: how they are chosen, and the systems they are asked of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import orjson
import typer
from aiokafka.errors import KafkaError

from schemas.records import Reason
from schemas.topics import USAGE_TOPICS
from streams.commands.common import Failed, UserError
from streams.io import clickhouse
from streams.io.clickhouse import StoreError
from streams.io.dead_letters import DeadLetterStore, Wanted
from streams.settings import Settings

T = TypeVar("T")
AGO = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="only of this reason; may be repeated")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="only of this topic; may be repeated")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="only of this CloudEvents source; may be repeated")]
Since = Annotated[str, typer.Option(help="only what arrived from then on: 2h, 7d, 2026-10-01, 2026-10-01T12:00Z")]
Until = Annotated[str, typer.Option(help="only what arrived before then")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON in place of a table")]


def chosen(
    reasons: Sequence[str] | None,
    topics: Sequence[str] | None,
    sources: Sequence[str] | None,
    since: str,
    until: str,
    *,
    redriven: bool = False,
) -> Wanted:
    """The options as a choice. Raises UserError for a reason or topic that there is none of, or a time that is none."""
    _known("--reason", reasons, [reason.value for reason in Reason])
    _known("--topic", topics, [topic.name for topic in USAGE_TOPICS])
    bounds = {name: _moment(f"--{name}", text) for name, text in (("since", since), ("until", until)) if text}
    return Wanted(reasons or (), topics or (), sources or (), redriven=redriven, **bounds)


def _known(option: str, given: Sequence[str] | None, known: Sequence[str]) -> None:
    if unknown := [name for name in given or () if name not in known]:
        raise UserError(f"{option}: there is no {', '.join(unknown)}; one of {', '.join(known)}")


def _moment(option: str, text: str) -> datetime:
    """A time, a day, or how long ago. Without a zone it is UTC."""
    if ago := AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text} is neither how long ago (2h, 7d) nor a time (2026-10-01T12:00Z)") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextmanager
def opened(settings: Settings) -> Iterator[DeadLetterStore]:
    """ClickHouse. Its errors become Failed."""
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            yield DeadLetterStore(store)
    except StoreError as error:
        raise Failed(str(error)) from None


def on_broker(settings: Settings, call: Coroutine[Any, Any, T]) -> T:
    """Run what talks to Kafka. Raises Failed, saying with which broker."""
    try:
        return asyncio.run(call)
    except (KafkaError, TimeoutError) as error:
        raise Failed(f"kafka at {settings.kafka.bootstrap_servers}: {str(error) or type(error).__name__}") from None


def say_json(value: Any) -> None:
    """The value on standard output."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
