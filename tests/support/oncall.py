"""Alerts, actions and changes for tests, by what matters in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from pydantic import BaseModel

from schemas.oncall import ActionKind, AlertAction, AlertChange, ChangeKind
from schemas.topics import ALERT_CHANGES, ALERTS
from schemas.watch import Alert, Severity
from streams.core.alert import Alerter, AlertRules
from streams.core.alert.state import Life, act, opened
from streams.core.landing.land import TABLES, Columns, columns
from tests.support.findings import at, finding


def alert(
    key: str = "k1", *, team: str = "", severity: Severity = Severity.WARNING, resolved: bool = False, **more: Any
) -> Alert:
    """An alert about a key, as the core composes it."""
    alerter = Alerter(AlertRules(min_excess_usd=Decimal(1)))
    series = {"principal": key} | ({"team": team} if team else {})
    alerter.finding(finding(series, 10.0, closed=9.0 if resolved else None))
    found = alerter.flush()[-1]
    return found.model_copy(update={"severity": severity, **more})


def action(what: str, minutes: float = 5.0, *, alert_id: str = "", **more: Any) -> AlertAction:
    """What somebody asks for, by default about `alert()`."""
    kind = ActionKind(what)
    if kind is ActionKind.SNOOZE and "until" not in more:
        more["until"] = at(minutes) + timedelta(hours=1)
    body = {"action_id": f"{what}-{minutes:g}", "alert_id": alert_id or alert().alert_id, "what": kind, "who": "ann",
            "via": "cli", "at": at(minutes)}  # fmt: skip
    return AlertAction(**body | more)


def kinds(changes: Iterable[AlertChange]) -> list[ChangeKind]:
    return [change.what for change in changes]


READ, OPERATE = "reader-token-of-the-tests", "operator-token-of-the-tests"


class Inserts(Protocol):
    def insert(self, table: str, columns: Columns, token: str) -> None: ...


def landed(store: Inserts, topic: str, records: Sequence[BaseModel]) -> None:
    """Put records into their table as `land` does."""
    table = TABLES[topic]
    contents = [table.read(record.model_dump_json().encode()) for record in records]
    store.insert(table.name, columns(table, contents, at(60)), token=f"{topic}:{len(records)}:{records[0]!r}"[:200])


class Stage:
    """What the alert stage does with an action, at once: applied, and landed."""

    def __init__(self, store: Inserts) -> None:
        self.store: Any = store
        self.taken: list[AlertAction] = []
        first, change = opened(alert(), at(1))
        self.life: Life = first
        landed(store, ALERTS.name, [alert()])
        landed(store, ALERT_CHANGES.name, [change])

    async def send(self, action: AlertAction) -> None:
        self.taken.append(action)
        self.life, change = act(self.life, action)
        landed(self.store, ALERT_CHANGES.name, [change])
