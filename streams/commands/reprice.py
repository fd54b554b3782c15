"""`spendstream reprice`: after a price or a rule was mended, see what moves, and land it."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from schemas.base import plain_decimal
from streams import build
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.commands.owners import followed
from streams.core.corrections.reprice import Moves, Repricer
from streams.io import clickhouse
from streams.io.clickhouse import ClickHouseStore, StoreError
from streams.io.standing import pieces
from streams.stages.repricing import ROWS, Repriced, Repricing

SHOWN = 40


def reprice(
    *,
    start: Annotated[str, typer.Option("--from", help="first day, 2026-10-01, or a time; UTC where it has no zone")],
    end: Annotated[str, typer.Option("--to", help="the day or time before which it ends")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would move")] = False,
    reason: Annotated[str, typer.Option(help="why, for the record")] = "",
    asked_by: Annotated[str, typer.Option("--by", help="who, for the record (default: the user of this machine)")] = "",
    broker: Annotated[bool, typer.Option(help="read the owner directory's topic too, as the price stage does")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="JSON in place of a table")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Price and tag the charges of a period anew by today's cards, rules and owners; show what moves and land it.

    Nothing is overwritten: each change lands as rows that take the old value back and add the new one. It may be run
    again at any time, also after it was cut off: what is right already is left alone.
    """
    settings = settings_of(config, overrides)
    period = moment("--from", start), moment("--to", end)
    if period[0] >= period[1]:
        raise UserError("--to: must be after --from")
    begun = datetime.now(UTC)
    name = f"{begun:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    try:
        repricer = Repricer(build.charger(settings, followed(settings) if broker else None), name)
    except ValueError as error:
        raise UserError(str(error)) from None
    about = {"reprice_id": name, "asked_by": asked_by or getpass.getuser(), "reason": reason,
             "period_start": period[0], "period_end": period[1], "begun_at": begun}  # fmt: skip
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            resumed, done = run(store, repricer, about, land=not dry_run)
    except StoreError as error:
        raise Failed(f"{error}; run it again and it goes on where it was cut off") from None
    if as_json:
        typer.echo(orjson.dumps(_as_json(about, resumed, done, dry_run), option=orjson.OPT_INDENT_2).decode())
    else:
        _show(name, resumed, done, dry_run)
    if done.contended:
        raise Failed(f"{done.contended} events were corrected by another run at the same time: run it again")


def run(store: ClickHouseStore, repricer: Repricer, about: Mapping[str, Any], *, land: bool) -> tuple[int, Repriced]:
    """The whole period: how many batches of an earlier run were completed, and what came of this one."""
    repricing = Repricing(store, store, repricer, about["reprice_id"], lambda: datetime.now(UTC))
    resumed = 0
    if land:
        resumed = repricing.resume()
        _note(store, about, None, repricing.done)
    for piece in pieces(store, about["period_start"], about["period_end"], ROWS):
        repricing.reprice(piece, land=land)
    if land:
        _note(store, about, datetime.now(UTC), repricing.done)
    return resumed, repricing.done


def _note(store: ClickHouseStore, about: Mapping[str, Any], finished: datetime | None, done: Repriced) -> None:
    row = {**about, "finished_at": finished, "events": done.events, "corrected": done.corrected}
    token = f"{about['reprice_id']}:{'begun' if finished is None else 'finished'}"
    store.insert("reprices", {column: [value] for column, value in row.items()}, token)


def moment(option: str, text: str) -> datetime:
    """What the user gave as a day or a time, to the second, in UTC. Raises UserError naming the option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text} is not a day (2026-10-01) or a time (2026-10-01T12:00:00Z)") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.replace(microsecond=0)


def _as_json(about: Mapping[str, Any], resumed: int, done: Repriced, dry_run: bool) -> dict[str, Any]:
    return {
        **about,
        "dry_run": dry_run,
        "events": done.events,
        "corrected": done.corrected,
        "contended": done.contended,
        "resumed_batches": resumed,
        "totals": {currency: plain_decimal(moved) for currency, moved in _totals(done.moves).items()},
        "moves": [
            {**move._asdict(), **{k: plain_decimal(v) if isinstance(v, Decimal) else v for k, v in asdict(s).items()}}
            for move, s in done.moves.largest_first()
        ],
    }


def _totals(moves: Moves) -> dict[str, Decimal]:
    """By how much each currency's total changes; currencies are never added to each other."""
    totals: dict[str, Decimal] = {}
    for move, moved in moves.by_move.items():
        before, _, after = move.currency.partition(" -> ")
        totals[before] = totals.get(before, Decimal(0)) - moved.before
        totals[after or before] = totals.get(after or before, Decimal(0)) + moved.after
    return dict(sorted(totals.items()))


def _show(name: str, resumed: int, done: Repriced, dry_run: bool) -> None:
    console = Console()
    if resumed:
        console.print(f"completed {resumed} batches of an earlier run that was cut off")
    rows = done.moves.largest_first()
    if rows:
        table = Table("currency", "team", "model", "why")
        for column in ("events", "before", "after", "change"):
            table.add_column(column, justify="right")
        for move, moved in rows[:SHOWN]:
            team = move.team_before or "-"
            if move.team_after != move.team_before:
                team = f"{team} -> {move.team_after or '-'}"
            before = f"{moved.before:,.4f}" if moved.unknown_before < moved.events else "unpriced"
            after = f"{moved.after:,.4f}" if moved.unknown_after < moved.events else "unpriced"
            table.add_row(move.currency, team, move.model or "-", move.reason, f"{moved.events:,}", before, after,
                          f"{moved.after - moved.before:+,.4f}")  # fmt: skip
        console.print(table)
        if len(rows) > SHOWN:
            console.print(f"and {len(rows) - SHOWN} more kinds of change: see --json")
    verb = "would be" if dry_run else "were"
    console.print(f"{done.corrected:,} of {done.events:,} events {verb} corrected", highlight=False)
    for currency, change in _totals(done.moves).items():
        console.print(f"{currency} {change:+,.6f}", highlight=False)
    if rows and not dry_run:
        console.print(f"the old values are in the view repriced_events, under reprice_id {name}", highlight=False)
