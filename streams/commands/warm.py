"""`spendstream warm`: learn from history, so that a new deployment does not start blind."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from replay.readers import ReaderError
from replay.readers.together import expand, rows
from schemas.records import Charge
from schemas.records import Position as Place
from schemas.topics import TICKS
from streams import build
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.columns.block import Block, moment
from streams.core.detect.warm import History
from streams.core.usage.decode import RawRecord
from streams.core.windows.sums import utc
from streams.io import clickhouse
from streams.io.checkpoints import CheckpointError, Checkpoints, State
from streams.io.clickhouse import ClickHouseStore, StoreError
from streams.io.kafka import topic_name
from streams.io.positions import Position, is_running, positions
from streams.io.standing import pieces, standing
from streams.io.topics import TopicsError
from streams.settings import Settings
from streams.stages.roll import series_partition

STAGE = "detect"
ROWS = 50_000  # of charges in memory at a time
EVERY = 2_000  # records that are taken in together
ENOUGH_DAYS = 7  # so that every hour of the week was seen
DAY = 86_400


@dataclass(slots=True)
class Read:
    """What was read of a history. `refused`: events that could not be charged."""

    events: int = 0
    refused: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def count(self, block: Block, refused: int = 0) -> None:
        self.refused += refused
        self.events += len(block.first_parts())
        if block.count:
            times = block.micros("time")
            first, last = moment(int(times.min())), moment(int(times.max()))
            self.first, self.last = min(self.first or first, first), max(self.last or last, last)


def warm(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="histories as `replay` reads them; without any, the charges in ClickHouse"),
    ] = None,
    *,
    start: Annotated[str, typer.Option("--from", help="of ClickHouse: the first day, 2026-10-01, or a time")] = "",
    end: Annotated[str, typer.Option("--to", help="of ClickHouse: the day or time before which it ends (now)")] = "",
    force: Annotated[bool, typer.Option("--force", help="replace what detection has learnt so far")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="learn and say what came of it; write nothing")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Learn what is usual from history, and leave it to the live workers as the state that they start with.

    Run it while no worker runs `detect`, on a machine that shares the workers' state folder. What is found in the
    history is not told to anybody: see `spendstream replay` for that.
    """
    settings = settings_of(config, overrides)
    if bool(inputs) == bool(start):
        raise UserError("give files to learn from, or --from (and --to) to learn from ClickHouse")
    store = Checkpoints(settings.stages.state_dir)
    console = Console(stderr=True)
    try:
        places = _places(settings, store, force=force) if not dry_run else []
        partitions = len(places) or TICKS.partitions
        history = History(
            build.roll_rules(settings), build.watch_rules(settings), max_cells=settings.roll.max_cells,
            partitions=partitions, partition_of=series_partition,
        )  # fmt: skip
        if inputs:
            read = _from_files(settings, inputs, history, console)
        else:
            read = _from_clickhouse(settings, _moment("--from", start), _until(end), history, console)
    except (ReaderError, TopicsError) as error:
        raise UserError(str(error)) from None
    except (StoreError, CheckpointError) as error:
        raise Failed(str(error)) from None
    if read.last is None or not any(history.series().values()):
        raise UserError("nothing was learnt: the history holds no complete window of usage")
    _say(console, history, read)
    if dry_run:
        console.print("nothing is written: it was a dry run")
        return
    _write(settings, store, places, history.states())
    console.print(f"{partitions} states of {STAGE} are in {store.root}; start the workers", highlight=False)


def _places(settings: Settings, store: Checkpoints, *, force: bool) -> list[Position]:
    """Where the states are to start. Raises UserError where detection is at work, or has learnt already."""

    async def ask() -> tuple[bool, list[Position]]:
        return await is_running(settings, STAGE), await positions(settings, STAGE, TICKS)

    running, places = asyncio.run(ask())
    if running:
        raise UserError(f"a worker runs {STAGE}: stop it first, or it writes over what is learnt here")
    topic = topic_name(settings, TICKS)
    held = [place.partition for place in places if store.path(STAGE, topic, place.partition).exists()]
    if held and not force:
        raise UserError(
            f"{store.root}: {STAGE} has learnt already (partitions {', '.join(map(str, held))}); --force replaces it"
        )
    return places


def _from_files(settings: Settings, inputs: Sequence[Path], history: History, console: Console) -> Read:
    found = expand(inputs)
    for reason in found.skipped:
        console.print(f"skipped: {reason}", highlight=False, markup=False)
    try:
        charger = build.charger(settings)
    except ValueError as error:
        raise UserError(str(error)) from None
    read = Read()
    with _progress(console) as progress:
        task = progress.add_task("learning", total=None)
        items = ((path, item) for path, item in rows(found.files) if item is not None)
        while some := list(islice(items, EVERY)):
            raws = [RawRecord(item.raw, (), Place(path.name, 0, item.row), None) for path, item in some]
            charged = charger.charge_all(raws, [item.event if item.fault is None else item.fault for _, item in some])
            read.count(charged.block, len(charged.dead_letters))
            history.add(charged.block, len(some))
            progress.update(task, completed=read.events, description=_upto(read))
    return read


def _from_clickhouse(settings: Settings, start: datetime, end: datetime, history: History, console: Console) -> Read:
    if start >= end:
        raise UserError("--to: must be after --from")
    read = Read()
    with clickhouse.connect(settings.clickhouse) as store, _progress(console) as progress:
        found = pieces(store, start, end, ROWS)
        task = progress.add_task("learning", total=sum(piece.rows for piece in found))
        events = _events(store, start, end)
        while some := list(islice(events, EVERY)):
            block = Block.of([c for event in some for c in event], [n for n, event in enumerate(some) for _ in event])
            read.count(block)
            history.add(block, len(some))
            progress.update(task, completed=read.events, description=_upto(read))
    return read


def _events(store: ClickHouseStore, start: datetime, end: datetime) -> Iterator[tuple[Charge, ...]]:
    """The events as they are charged now, in order of time: an hour that is too large comes in several pieces."""
    found = pieces(store, start, end, ROWS)
    for _, together in groupby(found, key=lambda piece: piece.start):
        parts = [(one.charges for one in standing(store, piece)) for piece in together]
        yield from heapq.merge(*parts, key=lambda charges: charges[0].time)


def _write(settings: Settings, store: Checkpoints, places: Sequence[Position], states: Sequence[State]) -> None:
    topic = topic_name(settings, TICKS)
    try:
        for place, state in zip(places, states, strict=True):
            held = store.load(STAGE, topic, place.partition)
            # A checkpoint never goes back: what was read before is behind it for good.
            offset = max(place.start, held.offset if held is not None else 0)
            store.save(STAGE, topic, place.partition, offset=offset, state=state)
    except CheckpointError as error:
        raise Failed(f"{error}; run it again with --force") from None


def _say(console: Console, history: History, read: Read) -> None:
    known = history.series()
    said = [
        f"{read.events:,} events from {read.first:%Y-%m-%d %H:%M} to {read.last:%Y-%m-%d %H:%M} UTC",
        f"{known.get('live', 0):,} series are known well enough to be judged, {known.get('warming', 0):,} are not",
    ]
    if read.refused:
        said.append(f"{read.refused:,} could not be charged and taught nothing: `spendstream replay` says why")
    if history.duplicates:
        said.append(f"{history.duplicates:,} were duplicates")
    if history.late:
        said.append(f"{history.late:,} came after their window was closed and taught nothing: sort the files by time")
    for (meter, seconds), until in sorted(history.until().items()):
        said.append(f"{meter} by {seconds} s: learnt up to {utc(until):%Y-%m-%d %H:%M:%S} UTC")
    if history.found:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(history.found.items()))
        said.append(f"found on the way, and told to nobody: {found}")
    if read.first and read.last and (read.last - read.first).total_seconds() < ENOUGH_DAYS * DAY:
        said.append(f"less than {ENOUGH_DAYS} days: the habits of a week are not known yet")
    for line in said:
        console.print(line, highlight=False)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _upto(read: Read) -> str:
    return f"learnt up to {read.last:%Y-%m-%d %H:%M}" if read.last else "learning"


def _until(text: str) -> datetime:
    return _moment("--to", text) if text else datetime.now(UTC).replace(microsecond=0)


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text} is not a day (2026-10-01) or a time (2026-10-01T12:00:00Z)") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
