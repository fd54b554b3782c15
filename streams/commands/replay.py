"""`spendstream replay`: run a history through the same core as the live stages, without a broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from replay.outputs import UNFINISHED, Folder
from replay.readers import Item, ReaderError
from replay.readers.together import expand, pieces
from replay.run import Replay
from replay.unfinished import EVERY, Inputs, OtherReplay, Unfinished
from streams import build
from streams.collector import collect_rarely
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.alert import Alerter
from streams.core.detect.merge import Merger
from streams.core.detect.watch import Watch
from streams.core.usage.sheet import Sheet
from streams.core.windows.roll import Roller
from streams.settings import Settings


def replay(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="NDJSON of events (- for stdin), bills, traces; files, folders or patterns"),
    ],
    out: Annotated[Path, typer.Option("--out", help="the folder to write into")],
    afresh: Annotated[bool, typer.Option("--afresh", help="begin anew where a replay was cut off")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Replay histories: charges, findings, alerts, dead letters and a summary go into a folder."""
    settings = settings_of(config, overrides)
    collect_rarely()
    console = Console(stderr=True)
    started = time.monotonic()
    try:
        found = expand(inputs)
        for reason in found.skipped:
            console.print(f"skipped: {reason}", highlight=False, markup=False)
        summary = _replayed(settings, found.files, out, console, started, afresh=afresh)
    except ReaderError as error:
        raise UserError(str(error)) from None
    except OtherReplay as problem:
        raise UserError(f"{out}: a replay was cut off here that {problem}; --afresh begins anew") from None
    except OSError as error:
        raise Failed(f"{out}: can't be written ({error.strerror or error})") from None
    for name, value in summary.items():
        console.print(f"{name}: {value}", highlight=False)


def new_replay(settings: Settings) -> Replay:
    """The core's objects, as the live stages have them."""
    return Replay(
        build.charger(settings),
        Roller(replace(build.roll_rules(settings), dedup_seconds=0.0)),  # what comes twice does not get that far
        Merger(settings.roll.max_cells),
        Watch(build.watch_rules(settings)),
        Alerter(build.alert_rules(settings)),
    )


def _replayed(
    settings: Settings, files: list[Path], out: Path, console: Console, started: float, *, afresh: bool
) -> dict[str, object]:
    """Replays the files, from where a replay of them was cut off; returns the summary."""
    keeps = not any(str(path) == "-" for path in files)  # standard input can't be read again
    unfinished = Unfinished(out / UNFINISHED, Inputs.of(files if keeps else [], settings.model_dump()))
    state = None if afresh else unfinished.load()
    run = new_replay(settings)
    with _folder(out, state, run) as folder:
        try:
            run.journal(folder.seen)
            saved = run.totals.events_read
            for charges, dead_letters in run.take(_rows(files, run.pieces, console, run)):
                folder.add(charges, dead_letters)
                if keeps and run.totals.events_read - saved >= EVERY:
                    saved = run.totals.events_read
                    unfinished.save({"run": run.snapshot(), "folder": folder.so_far()})
            run.finish()
            return folder.finish(run, time.monotonic() - started)
        except KeyboardInterrupt:
            goes_on = f"; the same command goes on after {saved:,} of them" if folder.is_kept else ""
            text = f"interrupted after {run.totals.events_read:,} events{goes_on}; the outputs in {out} are as before"
            raise Failed(text) from None


def _folder(out: Path, state: dict[str, Any] | None, run: Replay) -> Folder:
    """The outputs, and the replay as it was when `state` was saved."""
    if state is None:
        return Folder(out)
    try:
        folder = Folder(out, state["folder"])
    except ValueError as problem:
        raise OtherReplay(f"can't go on: {problem}") from None
    with (folder.unfinished / "seen").open("rb") as seen:
        run.restore(state["run"], seen)
    return folder


def _rows(files: list[Path], skip: int, console: Console, run: Replay) -> Iterator[tuple[str, Sheet | Item | None]]:
    """The pieces of the files behind the first `skip`, by the files' names, with a bar of how far the replay is."""
    # A row is named by its file; of two files with one name the second would pass for the first, repeated.
    names = {path: path.name if [p.name for p in files].count(path.name) == 1 else str(path) for path in files}
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("pieces read again" if skip else "events", total=None)
        for number, (path, piece) in enumerate(pieces(files)):
            if number < skip:
                progress.update(task, completed=number)
                continue
            progress.update(task, completed=run.totals.events_read, description="events")
            yield names[path], piece
