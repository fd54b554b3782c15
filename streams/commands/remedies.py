"""`spendstream remedies`: what policies propose, what was done, approve and undo."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.oncall import ActionKind
from streams.api.app import as_json
from streams.api.reading import AlertReader
from streams.commands.acting import NoteOption, WhoOption, act
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.alert.words import usd
from streams.io import clickhouse
from streams.io.clickhouse import StoreError
from streams.settings import Settings

app = typer.Typer(help="What may be done against an alert by this service itself.", no_args_is_help=True)
RemedyId = Annotated[str, typer.Argument(help="the remedy's id, as `remedies list` and messages show it")]


@app.command(name="list")
def list_remedies(
    alert: Annotated[str, typer.Option("--alert", help="of this alert alone")] = "",
    *,
    in_json: Annotated[bool, typer.Option("--json", help="as JSON, for programs")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Remedies as they stand, the newest first."""
    rows = _rows(settings_of(config, overrides), alert)
    if in_json:
        typer.echo(as_json(rows).decode())
        return
    if not rows:
        typer.echo("there are no remedies; policies are [[remedies.policies]] in the settings, off by default")
        return
    table = Table("at", "state", "what", "by", "avoided", "id", "alert", box=None, pad_edge=False)
    for row in rows:
        table.add_row(f"{row['at']:%d %b %H:%M}", row["state"].replace("_", " "),
                      Text(f"{row['action']} {row['target']}"), Text(row["who"]), _money(row["avoided_usd"]),
                      row["remedy_id"], row["alert_id"])  # fmt: skip
    Console().print(table)


@app.command()
def approve(
    remedy_id: RemedyId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """Do it."""
    _act(settings_of(config, overrides), remedy_id, ActionKind.APPROVE_REMEDY, who, note)


@app.command()
def undo(
    remedy_id: RemedyId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """Bring what it changed back to what it was."""
    _act(settings_of(config, overrides), remedy_id, ActionKind.UNDO_REMEDY, who, note)


def _act(settings: Settings, remedy_id: str, what: ActionKind, who: str, note: str) -> None:
    found = next((row for row in _rows(settings, "") if row["remedy_id"] == remedy_id), None)
    if found is None:
        raise UserError(f"there is no remedy {remedy_id}; `spendstream remedies list` shows those that there are")
    act(settings, found["alert_id"], what, who=who, note=note, remedy_id=remedy_id)


def _rows(settings: Settings, alert_id: str) -> list[dict[str, Any]]:
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            return AlertReader(store).remedies(alert_id)
    except StoreError as error:
        raise Failed(str(error)) from None


def _money(amount: Decimal | None) -> str:
    if amount is None:
        return ""
    return f"-{usd(amount)}" if amount < 0 else usd(amount)
