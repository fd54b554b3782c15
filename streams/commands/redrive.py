"""`spendstream dead-letters redrive`: the way back for events that could not be charged."""

from __future__ import annotations

import getpass
import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from streams import build
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
from streams.io.clickhouse import StoreError
from streams.stages.redriving import Redriven, Redriving


def redrive(
    *,
    reasons: Reasons = None,
    topics: Topics = None,
    sources: Sources = None,
    since: Since = "",
    until: Until = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be sent")] = False,
    limit: Annotated[int, typer.Option(min=1, help="look at so many at most")] = 100_000,
    why: Annotated[str, typer.Option(help="what was mended, for the record")] = "",
    asked_by: Annotated[str, typer.Option("--by", help="who, for the record (default: the user of this machine)")] = "",
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Put the events of dead letters on their topic again, where these settings would now charge them.

    May be repeated: what was sent again is left alone, and an event that was counted meanwhile counts as a duplicate.
    What would be rejected again, and what its topic no longer has, is left alone too, and counted.
    """
    settings = settings_of(config, overrides)
    wanted = chosen(reasons, topics, sources, since, until)
    try:
        charger = build.charger(settings)
    except ValueError as error:
        raise UserError(str(error)) from None
    begun = datetime.now(UTC)
    about = {
        "redrive_id": f"{begun:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        "redriven_by": asked_by or getpass.getuser(),
        "why": why,
    }
    console = Console(stderr=True)
    with opened(settings) as store, _progress(console) as progress:
        letters = store.in_order(wanted, limit)
        task = progress.add_task("dead letters", total=len(letters))
        run = Redriving(
            settings, store, charger, about, lambda: datetime.now(UTC), lambda n: progress.update(task, completed=n)
        )
        try:
            on_broker(settings, run.run(letters, send=not dry_run))
        except (Failed, KeyboardInterrupt, StoreError) as error:
            told = "" if isinstance(error, Failed) else f"{error or 'interrupted'}; "
            raise Failed(f"{told}{run.done.sent} dead letters were redriven before it; run it again to go on") from None
    _told(about, run.done, as_json=as_json, dry_run=dry_run, more=len(letters) == limit)


def _told(about: dict[str, str], done: Redriven, *, as_json: bool, dry_run: bool, more: bool) -> None:
    if as_json:
        say_json({**about, "dry_run": dry_run, "looked_at": done.looked_at, "redriven": done.sent,
               "records": done.records, "left_alone": dict(done.left), "limit_reached": more})  # fmt: skip
        return
    verb = "would be redriven" if dry_run else "redriven"
    typer.echo(f"{done.looked_at:,} dead letters looked at, {done.sent:,} {verb} in {done.records:,} records")
    for reason, count in done.left.most_common():
        typer.echo(f"{count:,} left alone: {reason}")
    if more:
        typer.echo("the limit is reached: there may be more")
    if done.sent and not dry_run:
        typer.echo(f"written down in the table redrives, under redrive_id {about['redrive_id']}")


def _progress(console: Console) -> Progress:
    return Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True)
