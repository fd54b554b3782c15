"""What the commands share that act on alerts: send an action, wait for what becomes of it, say it."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.oncall import ActionKind, AlertAction, AlertChange, ChangeKind, RemedyChange, RemedyState
from streams.api.actions import KafkaActions, make_action
from streams.commands.common import Failed, UserError
from streams.io.outcomes import Outcomes
from streams.io.topics import TopicsError, partition_counts
from streams.settings import Settings

WAIT_SECONDS = 15.0
NoteOption = Annotated[str, typer.Option("--note", help="why; it stands in the history")]
WhoOption = Annotated[str, typer.Option("--who", help="who does it (default: your user name)")]


def act(
    settings: Settings,
    alert_id: str,
    what: ActionKind,
    *,
    who: str,
    note: str,
    snooze: timedelta | None = None,
    remedy_id: str = "",
) -> None:
    """Ask for it, and say what came of it. Raises Failed where it is refused or nobody answers, UserError."""
    try:
        action = make_action(
            alert_id, what, who=who or _user(), via="cli", at=datetime.now(UTC), note=note, snooze=snooze,
            remedy_id=remedy_id,
        )  # fmt: skip
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise UserError(
            "; ".join(f"{'.'.join(map(str, f['loc'])) or what.value}: {f['msg']}" for f in faults)
        ) from None
    try:
        change = asyncio.run(_ask(settings, action))
    except (TopicsError, KafkaError, TimeoutError) as error:
        raise Failed(str(error) or "the broker did not answer in time: nothing was changed") from None
    _say(change, alert_id)


async def _ask(settings: Settings, action: AlertAction) -> AlertChange | RemedyChange | None:
    await partition_counts(settings)
    async with Outcomes(settings) as outcomes, KafkaActions(settings) as actions:
        await actions.send(action)
        return await outcomes.of(action.action_id, WAIT_SECONDS)


def _say(change: AlertChange | RemedyChange | None, alert_id: str) -> None:
    if change is None:
        raise Failed(f"no worker answered within {WAIT_SECONDS:.0f} s: it takes effect as soon as the alert stage runs")
    if isinstance(change, RemedyChange):
        typer.echo(f"remedy {change.remedy_id} is {change.state.value.replace('_', ' ')}"
                   + (f": {change.note}" if change.note else ""))  # fmt: skip
        if change.state is RemedyState.REFUSED:
            raise typer.Exit(1)
        return
    if change.what is ChangeKind.REFUSED:
        raise Failed(change.note)
    until = f" until {change.until:%Y-%m-%d %H:%M} UTC" if change.until else ""
    typer.echo(f"{alert_id} is {change.state.value.replace('_', ' ')}{until}")


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:  # no name for this user id, as in some containers
        return "cli"
