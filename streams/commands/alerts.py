"""`spendstream alerts`: the inbox, one alert, and what people do about it."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.oncall import OPEN_STATES, ActionKind, AlertState
from schemas.watch import Severity
from streams.api.app import as_json
from streams.api.reading import MOST, AlertReader, Filter
from streams.commands.acting import NoteOption, WhoOption, act
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.alert.words import usd
from streams.io import clickhouse
from streams.io.clickhouse import StoreError
from streams.settings import Settings

COLORS = {"critical": "red", "warning": "yellow", "info": "blue"}
LENGTH = re.compile(r"(\d+)(m|h|d)")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(help="The inbox of alerts, and what people do about them.", no_args_is_help=True)
AlertId = Annotated[str, typer.Argument(help="the alert's id, as `alerts list` shows it")]
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]


class Says(StrEnum):
    FALSE_POSITIVE = "false_positive"
    EXPECTED = "expected"


@app.command(name="list")
def list_alerts(
    state: Annotated[list[AlertState] | None, typer.Option(help="which; open ones by default")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="also what is over")] = False,
    severity: Annotated[list[Severity] | None, typer.Option()] = None,
    team: Annotated[str, typer.Option()] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST)] = 50,
    in_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """The alerts that somebody may have to come for, the newest first."""
    states = tuple(state or ()) or (() if everything else tuple(sorted(OPEN_STATES)))
    wanted = Filter(states, tuple(severity or ()), team, limit=limit)
    rows = _read(settings_of(config, overrides), lambda reader: reader.alerts(wanted))
    if in_json:
        typer.echo(as_json(rows).decode())
        return
    if not rows:
        typer.echo("there are no such alerts")
        return
    table = Table("since", "severity", "state", "what", "so far", "id", box=None, pad_edge=False)
    for row in rows:
        color = COLORS.get(row["severity"], "")
        by = f" by {row['state_by']}" if row["state_by"] not in {"", "detection", "policy"} else ""
        table.add_row(f"{row['opened_at']:%d %b %H:%M}", Text(row["severity"], style=color), row["state"] + by,
                      Text(row["title"]), usd(row["excess_usd"]), row["alert_id"])  # fmt: skip
    Console().print(table)


@app.command()
def show(
    alert_id: AlertId, *, in_json: JsonOption = False, config: ConfigOption = None, overrides: SetOption = None
) -> None:
    """One alert: who, how much, why, what to do, and what was done."""

    def look(reader: AlertReader) -> dict[str, Any] | None:
        alert = reader.alert(alert_id)
        return alert and {"alert": alert, "changes": reader.changes(alert_id), "remedies": reader.remedies(alert_id)}

    found = _read(settings_of(config, overrides), look)
    if found is None:
        raise UserError(f"there is no alert {alert_id}; `spendstream alerts list --all` shows those that there are")
    if in_json:
        typer.echo(as_json(found).decode())
        return
    alert, console = found["alert"], Console(soft_wrap=True, highlight=False)
    console.print(Text(f"{alert['severity'].upper()}: {alert['title']}", style=COLORS.get(alert["severity"], "")))
    console.print(Text(alert["explanation"]))
    for remedy in alert["remedies"]:
        console.print(Text(f"- {remedy}"))
    console.print(f"So far {usd(alert['excess_usd'])}; in 24 hours {usd(alert['projected_usd_24h'])} if it goes on.")
    console.print()
    for change in found["changes"]:
        note = f": {change['note']}" if change["note"] else ""
        console.print(
            Text(f"{change['at']:%d %b %H:%M:%S}  {change['what']} by {change['who']} ({change['via']}){note}")
        )
    for remedy in found["remedies"]:
        console.print(Text(f"remedy {remedy['remedy_id']}  {remedy['action']} {remedy['target']}: {remedy['state']}"))


@app.command()
def ack(
    alert_id: AlertId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """I am on it: no more reminders, no escalation."""
    act(settings_of(config, overrides), alert_id, ActionKind.ACK, who=who, note=note)


@app.command()
def unack(
    alert_id: AlertId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """I am not on it after all."""
    act(settings_of(config, overrides), alert_id, ActionKind.UNACK, who=who, note=note)


@app.command()
def snooze(
    alert_id: AlertId,
    length: Annotated[str, typer.Option("--for", help="30m, 4h, 2d; at most 30 days")] = "1h",
    note: NoteOption = "",
    who: WhoOption = "",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Later: it is said anew when the time is over and it still goes on."""
    match = LENGTH.fullmatch(length.strip())
    if match is None:
        raise UserError("--for: must be a number and m, h or d, such as 30m")
    snoozed = timedelta(**{UNITS[match[2]]: min(int(match[1]), 10_000)})
    act(settings_of(config, overrides), alert_id, ActionKind.SNOOZE, who=who, note=note, snooze=snoozed)


@app.command()
def resolve(
    alert_id: AlertId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """It is mended."""
    act(settings_of(config, overrides), alert_id, ActionKind.RESOLVE, who=who, note=note)


@app.command()
def reopen(
    alert_id: AlertId, note: NoteOption = "", who: WhoOption = "", config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:  # fmt: skip
    """It is not, and it still goes on."""
    act(settings_of(config, overrides), alert_id, ActionKind.REOPEN, who=who, note=note)


@app.command()
def feedback(
    alert_id: AlertId, says: Annotated[Says, typer.Argument(help="what it was")], note: NoteOption = "",
    who: WhoOption = "", config: ConfigOption = None, overrides: SetOption = None,
) -> None:  # fmt: skip
    """Close it and let detection learn: a false alarm, or spend that is meant to be from now on."""
    act(settings_of(config, overrides), alert_id, ActionKind(says.value), who=who, note=note)


def _read(settings: Settings, look: Any) -> Any:
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            return look(AlertReader(store))
    except StoreError as error:
        raise Failed(str(error)) from None
