"""`spendstream replay`: run a history through the same core as the live stages, without a broker."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from replay.outputs import Folder
from replay.readers import ReaderError
from replay.readers.together import expand, pieces
from replay.run import Replay
from streams import build
from streams.collector import collect_rarely
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.alert import Alerter
from streams.core.detect.merge import Merger
from streams.core.detect.watch import Watch
from streams.core.roll import Roller
from streams.settings import Settings


def replay(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="NDJSON of events (- for stdin), bills, traces; files, folders or patterns"),
    ],
    out: Annotated[Path, typer.Option("--out", help="the folder to write into")],
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Replay histories: charges, findings, alerts, dead letters and a summary go into a folder."""
    settings = settings_of(config, overrides)
    collect_rarely()
    console = Console(stderr=True)
    started = time.monotonic()
    run = new_replay(settings)
    try:
        found = expand(inputs)
        for reason in found.skipped:
            console.print(f"skipped: {reason}", highlight=False, markup=False)
        with Folder(out) as folder:
            _feed(run, folder, found.files, console)
            run.finish()
            summary = folder.finish(run, time.monotonic() - started)
    except ReaderError as error:
        raise UserError(str(error)) from None
    except KeyboardInterrupt:
        raise Failed(f"interrupted after {run.totals.events_read:,} events; {out} is as it was before") from None
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


def _feed(run: Replay, folder: Folder, inputs: list[Path], console: Console) -> None:
    # A row is named by its file; of two files with one name the second would pass for the first, repeated.
    names = {path: path.name if [p.name for p in inputs].count(path.name) == 1 else str(path) for path in inputs}
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("rows", total=None)
        for charges, dead_letters in run.take((names[path], piece) for path, piece in pieces(inputs)):
            folder.add(charges, dead_letters)
            progress.update(task, completed=run.totals.events_read)
