"""Detect, acknowledge, remedy: the times and dollars that the views give, worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.oncall import AlertChange, RemedyChange, RemedyState
from schemas.topics import ALERT_CHANGES, ALERTS, REMEDIES
from schemas.watch import Severity
from streams.core.alert.desk import Desk
from streams.core.alert.routes import Level, Routing
from streams.io.clickhouse import ClickHouseStore
from tests.support.findings import at, driver
from tests.support.oncall import action, alert, landed


@pytest.fixture
def told(store: ClickHouseStore) -> ClickHouseStore:
    """k1: told at 1, escalated at 6, acked at 7, over at 31. k2: told at 2, resolved by hand at 4. k3: told at 3."""
    desk = Desk(Routing(("chat",), levels=(Level(timedelta(minutes=5), ("lead",)),)))
    first, second = alert("k1", drivers=[driver(1.0, team="search")]), alert("k2")
    third = alert("k3", severity=Severity.CRITICAL)
    over = alert("k1", resolved=True, revision=1, drivers=[driver(1.0, team="search")])
    changes: list[AlertChange] = []
    for step in (
        desk.detected(first, at(1)),
        desk.detected(second, at(2)),
        desk.detected(third, at(3)),
        desk.act(action("resolve", 4, alert_id=second.alert_id), at(4)),
        desk.tick(at(6)),
        desk.act(action("ack", 7, alert_id=first.alert_id), at(7)),
        desk.act(action("unack", 8, alert_id=second.alert_id), at(8)),
        desk.detected(over, at(31)),
    ):
        changes += step.changes
    landed(store, ALERTS.name, [first, second, third, over])
    landed(store, ALERT_CHANGES.name, changes)
    return store


def rows(store: ClickHouseStore, view: str, by: str) -> dict[str, dict[str, Any]]:
    return {row[by]: row for row in store.query(f"SELECT * FROM {view}")}  # noqa: S608  names of ours


def test_each_alert_has_its_times(told: ClickHouseStore) -> None:
    found = rows(told, "response_times", "alert_id")
    first, second, third = (found[alert(key).alert_id] for key in ("k1", "k2", "k3"))
    assert (first["detect_seconds"], first["ack_seconds"], first["resolve_seconds"]) == (60, 360, 1800)
    assert (first["remediation_seconds"], first["escalations"], first["team"]) == (1860, 1, "search")
    assert (second["ack_seconds"], second["resolve_seconds"], second["state"]) == (120, 120, "resolved")
    assert (third["ack_seconds"], third["resolve_seconds"], third["ended_at"]) == (None, None, None)


def test_a_day_has_its_means_and_what_is_missing_is_not_zero(told: ClickHouseStore) -> None:
    found = rows(told, "response_times_by_day", "severity")
    warning, critical = found["warning"], found["critical"]
    assert (warning["alerts"], warning["acknowledged"], warning["ended"], warning["escalated"]) == (2, 2, 2, 1)
    assert warning["mtta_seconds"] == (360 + 120) / 2
    assert warning["mttr_seconds"] == (1800 + 120) / 2
    assert warning["remediation_cycle_seconds"] == (1860 + 240) / 2
    assert (critical["alerts"], critical["mtta_seconds"], critical["mttr_seconds"]) == (1, None, None)


def test_an_alert_stands_where_people_have_brought_it(told: ClickHouseStore) -> None:
    found = rows(told, "alerts_now", "alert_id")
    first, second, third = (found[alert(key).alert_id] for key in ("k1", "k2", "k3"))
    assert (first["state"], first["status"], first["acked_by"], first["level"]) == ("resolved", "resolved", "ann", 1)
    assert (second["state"], second["status"], second["state_by"]) == ("resolved", "firing", "ann")
    assert second["changes"] == 3, "a refused unack is in the history, and changes nothing"
    assert (third["state"], third["acked_by"], third["state_by"]) == ("firing", None, "detection")


def test_an_alert_without_changes_stands_where_detection_left_it(store: ClickHouseStore) -> None:
    landed(store, ALERTS.name, [alert(), alert(resolved=True, revision=1)])
    (row,) = store.query("SELECT state, changes FROM alerts_now")
    assert row == {"state": "resolved", "changes": 0}


def test_a_change_that_a_crash_wrote_twice_counts_once(told: ClickHouseStore) -> None:
    before = told.query("SELECT * FROM response_times_by_day ORDER BY severity")
    change = told.query("SELECT * EXCEPT landed_at FROM alert_changes WHERE what = 'escalated'")[0]
    landed(told, ALERT_CHANGES.name, [AlertChange(**change)])
    assert told.query("SELECT * FROM response_times_by_day ORDER BY severity") == before


def test_dollars_avoided_are_added_up_once(store: ClickHouseStore) -> None:
    def change(number: int, state: RemedyState, minute: float, remedy: str = "re-1", **more: Any) -> RemedyChange:
        return RemedyChange(
            remedy_id=remedy, number=number, alert_id="al-1", policy="block", action="litellm_block_key", target="k1",
            state=state, at=at(minute), who="ann", via="cli", **more,
        )  # fmt: skip

    worth: dict[str, Any] = {"avoided_usd": Decimal("8.5"), "rate_before_usd_per_hour": Decimal(12),
                             "rate_after_usd_per_hour": Decimal("3.5")}  # fmt: skip
    landed(store, REMEDIES.name, [
        change(1, RemedyState.PROPOSED, 1),
        change(2, RemedyState.APPROVED, 2, undo={"blocked": "false"}),
        change(3, RemedyState.STARTED, 2.1),
        change(4, RemedyState.DONE, 2.5),
        change(5, RemedyState.MEASURED, 62.5, **worth),
        change(6, RemedyState.UNDONE, 70, **worth),
        change(1, RemedyState.MEASURED, 63, "re-2", avoided_usd=Decimal("-1.25")),
    ])  # fmt: skip
    (day,) = store.query("SELECT remedies, avoided_usd FROM dollars_avoided_by_day")
    assert day == {"remedies": 2, "avoided_usd": Decimal("7.25")}
    times = rows(store, "remedy_times", "remedy_id")["re-1"]
    assert (times["run_seconds"], times["remedy_seconds"], times["state"]) == (30, 90, "undone")
    assert times["proposed_at"] + timedelta(minutes=1.5) == times["done_at"]
