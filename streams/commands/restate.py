"""`spendstream restate`: a bill that was loaded before, loaded again with its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from replay.readers import Item, ReaderError, read, reader_of
from schemas.base import plain_decimal
from schemas.events import LINE_ITEM
from schemas.records import Position
from streams import build
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.commands.owners import followed
from streams.commands.send import Record, Sent, batched, record_of, sending
from streams.core.corrections.restate import Restated
from streams.core.corrections.restate import restate as restated
from streams.core.usage.bounds import Bounds
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord, Rejection, decode
from streams.io import clickhouse
from streams.io.clickhouse import ClickHouseStore, StoreError
from streams.io.standing import Bill, bill_standing
from streams.settings import Settings

DAY = 86_400
BATCH = 100  # events a record


@dataclass(slots=True)
class Scope:
    """What a file is the bill of: whoever loads it again means these accounts, on the days that it has rows of."""

    source: str = ""
    accounts: set[str] = field(default_factory=set)
    first: int | None = None  # days since 1970, UTC
    last: int | None = None


def restate(
    file: Annotated[Path, typer.Argument(help="the bill as it is now: any format that `replay` reads of line items")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would change")] = False,
    broker: Annotated[bool, typer.Option(help="read the owner directory's topic too, as the price stage does")] = True,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Load a bill again: rows that went are taken back by corrections, rows that came are sent, the others left alone.

    What landed of the file's accounts, on the days from its first row to its last, is compared with its rows. A bill
    that is loaded again unchanged changes nothing, and one that was never loaded is loaded whole.
    """
    settings = settings_of(config, overrides)
    console = Console(stderr=True)
    try:
        charger = build.charger(settings, followed(settings) if broker else None)
        scope = _scope(file)
        with clickhouse.connect(settings.clickhouse) as store:
            done = Restated()
            for _ in _events(store, charger, file, scope, done):
                pass  # counted first: nothing is sent of a bill that can't be corrected as it stands
            _check(done)
            _show(done, dry_run, console)
            if not dry_run and (done.added or done.taken_back):
                _send(settings, _events(store, charger, file, scope, Restated()), console)
    except (ReaderError, ValueError) as error:
        raise UserError(str(error)) from None
    except StoreError as error:
        raise Failed(str(error)) from None
    except KafkaError as error:
        problem = f"kafka at {settings.kafka.bootstrap_servers}: {type(error).__name__}"
        raise Failed(f"{problem}; run it again when what was sent has landed") from None
    except KeyboardInterrupt:
        raise Failed("interrupted; run it again when what was sent has landed, and it goes on") from None


def _scope(file: Path) -> Scope:
    """One reading of the file: whose bill it is, and of which days."""
    scope = Scope()
    if not reader_of(file).timed:
        raise ReaderError(f"{file}: is no bill")
    for item in read(file):
        if item.event is None or item.time is None:
            continue
        if item.event["type"] != LINE_ITEM:
            raise ReaderError(f"{file}: is no bill; its usage is priced here, see `spendstream reprice`")
        data = item.event["data"]
        scope.accounts.add(str(data.get("SubAccountId") or "") if isinstance(data, dict) else "")
        scope.source = str(item.event["source"])
        day = int(item.time // DAY)
        scope.first = day if scope.first is None else scope.first
        scope.last = day
    return scope


def _events(store: ClickHouseStore, charger: Charger, file: Path, scope: Scope, done: Restated) -> Iterator[Record]:
    """Every day's corrections and new rows, a day in memory at a time; rows that are none go to the dead letters."""
    if scope.first is None or scope.last is None:
        yield from (record_of(item, None, file.name) for item in read(file))
        return
    rows = groupby(read(file), key=_day)
    waiting = next(rows, None)
    for day in [None, *range(scope.first, scope.last + 1)]:
        here: list[Item] = []
        while waiting is not None and waiting[0] == day:
            here += waiting[1]
            waiting = next(rows, None)
        wanted = []
        for item in here:
            fault = _refused(item, file)
            if fault is not None:  # not a row that could stand: the dead letter of its place, the same on every loading
                yield record_of(item._replace(event=None, fault=fault), None, file.name)
            elif item.event is not None:
                wanted.append(item.event)
        if day is not None:
            bill = Bill(scope.source, sorted(scope.accounts), day * DAY, (day + 1) * DAY)
            for event in restated(wanted, bill_standing(store, bill), charger, done):
                yield record_of(Item(row=0, event=dict(event)), None, file.name)


def _refused(item: Item, file: Path) -> Rejection | None:
    """Why the item is no event, if it is none."""
    if item.fault is not None:
        return item.fault
    letters = decode(RawRecord(None, (), Position(file.name, 0, item.row), None), Bounds(), item.event).dead_letters
    return Rejection(letters[0].reason, letters[0].field, letters[0].problem) if letters else None


def _day(item: Item) -> int | None:
    return None if item.time is None else int(item.time // DAY)


def _check(done: Restated) -> None:
    if done.otherwise:
        raise Failed(
            f"{done.otherwise} rows to take back would be charged otherwise by today's rules and rates than they "
            "stand: run `spendstream reprice` for their days first"
        )


def _show(done: Restated, dry_run: bool, console: Console) -> None:
    would = "would be " if dry_run else ""
    console.print(
        f"{done.unchanged:,} rows stand, {done.added:,} {would}added, {done.taken_back:,} {would}taken back",
        highlight=False,
    )
    for currency, change in sorted(done.change.items()):
        console.print(f"billed {currency} {'+' if change >= 0 else ''}{plain_decimal(change)}", highlight=False)


def _send(settings: Settings, records: Iterator[Record], console: Console) -> None:
    source = batched(records, BATCH)
    first = list(islice(source, 1))
    sent = Sent()
    asyncio.run(sending(settings, chain(first, source), sent, console))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    console.print(f"acknowledged at {at}: {sent.events:,} events in {sent.records:,} records", highlight=False)
    if sent.refused:
        raise Failed(f"{len(sent.refused)} rows were refused: {'; '.join(sent.refused[:5])}")
