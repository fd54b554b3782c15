"""Alerts, their history and their remedies, as ClickHouse has them. Every call blocks: call it from a thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from schemas.oncall import OPEN_STATES, AlertState
from schemas.watch import Severity
from streams.core.alert.state import allowed

MOST = 500
Row = dict[str, Any]
LIST = """
SELECT * FROM alerts_now
WHERE (empty({states:Array(String)}) OR has({states:Array(String)}, state))
  AND (empty({severities:Array(String)}) OR has({severities:Array(String)}, toString(severity)))
  AND ({team:String} = '' OR series['team'] = {team:String} OR arrayExists(d -> d.1['team'] = {team:String}, drivers))
  AND ({before:String} = '' OR detected_at < parseDateTime64BestEffortOrNull({before:String}, 6, 'UTC'))
ORDER BY detected_at DESC, alert_id
LIMIT {limit:UInt16}
"""
CHANGES = """
SELECT * EXCEPT landed_at FROM alert_changes WHERE alert_id = {alert_id:String}
ORDER BY number, landed_at LIMIT 1 BY number, what, action_id
"""


class Queries(Protocol):
    """What is needed of the store."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts: empty means all. `before` goes on where a page ended: the `detected_at` of its last alert."""

    states: tuple[AlertState, ...] = tuple(sorted(OPEN_STATES))
    severities: tuple[Severity, ...] = ()
    team: str = ""
    before: datetime | None = None
    limit: int = 100


class AlertReader:
    """Reads from the views `alerts_now`, `alert_changes` and `remedies_current`. Raises StoreError."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    def alerts(self, wanted: Filter) -> list[Row]:
        """Alerts as they stand, the newest first."""
        rows = self._store.query(
            LIST,
            {
                "states": [state.value for state in wanted.states],
                "severities": [severity.value for severity in wanted.severities],
                "team": wanted.team,
                "before": wanted.before.isoformat() if wanted.before else "",
                "limit": min(wanted.limit, MOST),
            },
        )
        return [_with_actions(row) for row in rows]

    def alert(self, alert_id: str) -> Row | None:
        """One alert as it stands; None when there is none (yet: landing takes about a second)."""
        rows = self._store.query("SELECT * FROM alerts_now WHERE alert_id = {id:String}", {"id": alert_id})
        return _with_actions(rows[0]) if rows else None

    def changes(self, alert_id: str) -> list[Row]:
        """The history of an alert, from its beginning."""
        return self._store.query(CHANGES, {"alert_id": alert_id})

    def outcome(self, action_id: str) -> Row | None:
        """What became of an action: the change it made, or the one that says why it was refused."""
        found = self._store.query(
            "SELECT * EXCEPT landed_at FROM alert_changes WHERE action_id = {id:String} ORDER BY number LIMIT 1",
            {"id": action_id},
        ) or self._store.query(
            "SELECT * EXCEPT landed_at FROM remedy_changes WHERE action_id = {id:String} ORDER BY number LIMIT 1",
            {"id": action_id},
        )
        return found[0] if found else None

    def findings(self, ids: Iterable[str]) -> list[Row]:
        """The findings grouped under an alert, the dearest first."""
        sql = "SELECT * FROM findings_current WHERE has({ids:Array(String)}, finding_id) ORDER BY abs(excess_usd) DESC"
        return self._store.query(sql, {"ids": list(ids)})

    def remedies(self, alert_id: str = "") -> list[Row]:
        """Remedies as they stand, the newest first; those of one alert, or of all."""
        sql = """
        SELECT * EXCEPT landed_at FROM remedies_current WHERE {id:String} = '' OR alert_id = {id:String}
        ORDER BY at DESC, remedy_id LIMIT {most:UInt16}
        """
        return self._store.query(sql, {"id": alert_id, "most": MOST})

    def remedy(self, remedy_id: str) -> Row | None:
        """One remedy as it stands."""
        sql = "SELECT * EXCEPT landed_at FROM remedies_current WHERE remedy_id = {id:String}"
        rows = self._store.query(sql, {"id": remedy_id})
        return rows[0] if rows else None


def _with_actions(row: Row) -> Row:
    """The row with what may be asked for now: the buttons to show."""
    kinds = allowed(AlertState(row["state"]), is_going_on=row["status"] == "firing")
    drivers = [_driver(driver) for driver in row["drivers"]]
    return {**row, "drivers": drivers, "allowed": sorted(kind.value for kind in kinds)}


def _driver(driver: Any) -> Row:
    """A driver as an object, whether the client gave a tuple or a dict."""
    if isinstance(driver, dict):
        return driver
    return dict(zip(("series", "excess_usd", "share"), driver, strict=True))
