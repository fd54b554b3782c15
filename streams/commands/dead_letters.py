"""`spendstream dead-letters`: which events could not be charged, why, and the way back for them."""

from __future__ import annotations

import re
import sys
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.records import Position
from streams.commands.choosing import (
    AsJson,
    Reasons,
    Since,
    Sources,
    Topics,
    Until,
    chosen,
    on_broker,
    opened,
    say_json,
)
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.commands.redrive import redrive
from streams.io.dead_letters import Row
from streams.io.rereading import reread
from streams.settings import Settings

POSITION = re.compile(r"([\w.-]+):(\d{1,9}):(\d{1,18})")
SHOWN = (
    "dead_letter_id", "reason", "field", "problem", "topic", "partition", "offset", "index", "event_source",
    "event_id", "event_type", "payload_bytes", "payload_sha256", "received_at", "landed_at",
)  # fmt: skip
SHOWN_REDRIVEN = (
    "redrives",
    "redrive_id",
    "redriven_at",
    "redriven_by",
    "why",
    "to_topic",
    "to_partition",
    "to_offset",
)

app = typer.Typer(help="Events that could not be charged: which, why, and the way back.", no_args_is_help=True)
app.command()(redrive)


@app.command(name="list")
def list_letters(
    *,
    reasons: Reasons = None,
    topics: Topics = None,
    sources: Sources = None,
    since: Since = "",
    until: Until = "",
    redriven: Annotated[bool, typer.Option("--redriven", help="also those that were sent again")] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many of the newest to show")] = 20,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """How many dead letters there are by reason, and the newest of them."""
    wanted = chosen(reasons, topics, sources, since, until, redriven=redriven)
    with opened(settings_of(config, overrides)) as store:
        counts, newest = store.counts(wanted), store.newest(wanted, limit)
    if as_json:
        say_json({"counts": counts, "dead_letters": newest})
        return
    console = Console()
    if not counts:
        console.print("no dead letters")
        return
    summary = _table("reason", "topic", "first", "last", "how many")
    for row in counts:
        summary.add_row(
            row["reason"], row["topic"], _time(row["first_at"]), _time(row["last_at"]), f"{row['letters']:,}"
        )
    console.print(summary)
    table = _table("reason", "position", "what is wrong", "event")
    for row in newest:
        problem = ": ".join(filter(None, (row["field"], row["problem"])))
        event = " ".join(filter(None, (row["event_source"], row["event_id"])))
        where = _where(row) + (" redriven" if row["redrives"] else "")
        table.add_row(*(escape(_printable(cell)) for cell in (row["reason"], where, problem, event)))
    console.print(table)


@app.command()
def show(
    which: Annotated[str, typer.Argument(help="a dead letter's id, or a record as topic:partition:offset")],
    record: Annotated[
        bool, typer.Option("--record", help="print the record itself, as long as the topic has it")
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Everything that is known of one dead letter, and whether its record can still be read.

    What an event held is kept nowhere but on its topic, for the topic's retention: `--record` prints it from there.
    """
    settings = settings_of(config, overrides)
    place = POSITION.fullmatch(which)
    with opened(settings) as store:
        rows = store.at(Position(place[1], int(place[2]), int(place[3]))) if place else store.one(which)
    if not rows:
        raise UserError(f"there is no dead letter {which}; `spendstream dead-letters list` shows which there are")
    position = Position(rows[0]["topic"], rows[0]["partition"], rows[0]["offset"])
    found = on_broker(settings, _read(settings, position))
    if record:
        if found is None or found.value is None:
            raise Failed(f"{_where(rows[0])}: the record is no longer on the topic, or has no value")
        sys.stdout.buffer.write(found.value + b"\n")
        return
    still = "still on its topic" if found is not None else "no longer on its topic"
    if as_json:
        say_json({"dead_letters": rows, "record_on_topic": found is not None})
        return
    for row in rows:
        for name in (*SHOWN, *(SHOWN_REDRIVEN if row["redrives"] else ())):
            if row[name] not in {"", None}:
                typer.echo(
                    f"{name:<15} {_time(row[name]) if isinstance(row[name], datetime) else _printable(row[name])}"
                )
        typer.echo()
    typer.echo(f"The record is {still}.")


async def _read(settings: Settings, position: Position) -> Any | None:
    async with aclosing(reread(settings, [position])) as records:
        return (await anext(records))[1]


def _table(*names: str) -> Table:
    """What is to be typed again, or searched for, is shown whole."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in {"reason", "position", "topic"})
    return table


def _where(row: Row) -> str:
    place = "" if row["index"] is None else f"[{row['index']}]"
    return f"{row['topic']}:{row['partition']}:{row['offset']}{place}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _printable(value: object) -> str:
    """Text of a producer's for a terminal, which control characters could take over."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
