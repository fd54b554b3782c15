"""`spendstream diff`: two runs of a history, with old and new prices, rules or detectors: what moved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from replay.diff import Difference, Lives, Move, difference
from replay.report.rundir import RunError, load
from schemas.base import plain_decimal
from schemas.watch import DIMENSIONS, Alert, Finding
from streams.commands.common import UserError
from streams.core.alert.words import who

BY = ("team", "model", "service")
SHOWN = 20  # rows of a table
MOVED = 3  # the exit status of --exit-code: 1 is a failure and 2 a mistake, as everywhere
WIDE = 140


def diff(
    before: Annotated[Path, typer.Argument(help="the folder of one replay")],
    after: Annotated[Path, typer.Argument(help="the folder of another, of the same history")],
    by: Annotated[list[str] | None, typer.Option("--by", help="dimensions to tell moves by: team, model, ...")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON in place of tables: everything, not the largest")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="exit with 3 when anything differs")] = False,
) -> None:
    """What moved between two runs, by how much, and which findings appeared, disappeared or changed.

    Exit status: 0 done, whether or not anything moved; 1 failed; 2 the user's mistake; with --exit-code 3 when
    anything differs.
    """
    unknown = sorted(set(by or ()) - set(DIMENSIONS))
    if unknown:
        raise UserError(f"--by: no such dimension: {', '.join(unknown)}; there are {', '.join(DIMENSIONS)}")
    try:
        found = difference(load(before), load(after), tuple(by or BY))
    except RunError as error:
        raise UserError(str(error)) from None
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=1))
    else:
        _show(found)
    if exit_code and not found.is_none:
        raise typer.Exit(MOVED)


def to_json(found: Difference) -> dict[str, Any]:
    """All of it; money as decimal text."""
    return {
        "same": found.is_none,
        "counts": {name: {"before": pair[0], "after": pair[1]} for name, pair in found.counts.items()},
        "effective_cost": [_move(one) for one in found.currencies],
        "moves": {name: [_move(one) for one in moves] for name, moves in found.moves.items()},
        "events": {name: getattr(found.events, name) for name in ("same", "changed", "only_before", "only_after")},
        "findings": _lives(found.findings),
        "alerts": _lives(found.alerts),
    }


def _move(one: Move) -> dict[str, str]:
    amounts = {"before": one.before, "after": one.after, "moved": one.by}
    texts = {name: plain_decimal(amount) for name, amount in amounts.items()}
    return {"value": one.value, "currency": one.currency, **texts}


def _lives(found: Lives) -> dict[str, Any]:
    return {
        "same": found.same,
        "appeared": [one.model_dump(mode="json") for one in found.appeared],
        "disappeared": [one.model_dump(mode="json") for one in found.disappeared],
        "changed": [
            {"id": one.name, "series": one.after.series, "kind": one.after.kind.value,
             "fields": {name: {"before": a, "after": b} for name, (a, b) in one.fields.items()}}
            for one in found.changed
        ],
    }  # fmt: skip


def _show(found: Difference) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    if found.is_none:
        console.print("The runs are alike: the same charges, findings and alerts.")
        return
    _table(
        console, "Effective cost", ("currency", "before", "after", "moved"), [_cells(one) for one in found.currencies]
    )
    events = found.events
    console.print(
        f"Events: {events.same:,} charged alike, {events.changed:,} differently, {events.only_before:,} only before, "
        f"{events.only_after:,} only after.",
        highlight=False,
    )
    for name, pair in found.counts.items():
        console.print(f"{name}: {pair[0]} before, {pair[1]} after", highlight=False, markup=False)
    for name, moves in found.moves.items():
        columns = (name, "before", "after", "moved")
        _table(console, f"By {name}", columns, [_cells(one) for one in moves])
    for name, both in (("Findings", found.findings), ("Alerts", found.alerts)):
        _show_lives(console, name, both)


def _show_lives(console: Console, title: str, both: Lives) -> None:
    rows = [("appeared", *_named(one), "") for one in both.appeared]
    rows += [("disappeared", *_named(one), "") for one in both.disappeared]
    for one in both.changed:
        words = "; ".join(f"{name}: {a} -> {b}" for name, (a, b) in one.fields.items())
        rows.append(("changed", *_named(one.after), words))
    _table(console, f"{title}: {both.same} alike", ("", "kind", "who", "excess USD", "what changed"), rows)


def _named(one: Finding | Alert) -> tuple[str, str, str]:
    return one.kind.value, who(one.series, one.meter), f"{one.excess_usd:,.2f}"


def _cells(one: Move) -> tuple[str, ...]:
    name = one.value if one.value == one.currency else f"{one.value or '(none)'} ({one.currency})"
    return name, f"{one.before:,.6f}", f"{one.after:,.6f}", f"{one.by:+,.6f}"


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="right" if name in {"before", "after", "moved", "excess USD"} else "left")
    for row in rows[:SHOWN]:
        table.add_row(*map(escape, row))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN} more: --json has them all", highlight=False)
