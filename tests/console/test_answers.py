"""What the console reads from ClickHouse, against sums made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.topics import ALERT_CHANGES, ALERTS, FINDINGS
from streams.console.incident import extent, read_incident, usual_band
from streams.console.spend import read_live, read_usual
from streams.console.views import read_inbox
from streams.console.words import driver_name
from streams.core.alert.state import act, opened
from streams.io.clickhouse import ClickHouseStore
from tests.support.findings import finding
from tests.support.oncall import action, alert, landed

NOW = datetime(2026, 11, 12, 12, 0, 33, tzinfo=UTC)
DAY = timedelta(days=1)
Spent = tuple[timedelta, str, dict[str, Any]]
"""How long ago, how many USD, and what else matters."""


def spend(store: ClickHouseStore, *charges: Spent) -> None:
    """Put charges where `land` would."""
    rows = []
    for number, (ago, usd, more) in enumerate(charges):
        time = NOW - ago
        body = {"source": "/t", "id": f"{len(charges)}-{number}", "type": "spendstream.token_call.v1", "time": time,
                "received_at": time, "landed_at": time, "period_start": time, "period_end": time, "team": "search",
                "model": "gpt-4o", "provider": "openai", "cluster": "", "principal": "k1", "currency": "USD",
                "effective_cost": Decimal(usd), "effective_cost_usd": Decimal(usd), "price_status": "priced",
                "allocation": "tags", "utilization": None, "estimated_cost": None}  # fmt: skip
        rows.append(body | more)
    store.insert("charges", {name: [row[name] for row in rows] for name in rows[0]}, f"{charges[0]!r}{len(charges)}")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_nothing_is_shown_as_nothing(store: ClickHouseStore) -> None:
    live = read_live(store, NOW, read_usual(store, NOW))
    assert (live.is_empty, live.now, live.usual, live.silent_for) == (True, Decimal(0), None, None)
    assert read_inbox(store, "open", NOW).alerts == []
    assert read_incident(store, "none", NOW) is None


def test_now_is_what_was_spent_since_the_beginning_of_the_minute_before(store: ClickHouseStore) -> None:
    gpu = {"type": "spendstream.gpu_usage.v1", "cluster": "train-a", "team": "research", "model": ""}
    spend(
        store,
        (timedelta(seconds=10), "1.00", {}), (timedelta(seconds=50), "2.00", {}), (minutes(3), "50.00", {}),
        (minutes(2), "10.00", gpu), (minutes(4), "5.00", gpu), (timedelta(seconds=5), "7.00", gpu),
        (minutes(3), "4.00", gpu | {"cluster": "serve-a", "team": "platform"}),
        (minutes(1), "90.00", {"type": "spendstream.line_item.v1", "model": ""}),
    )  # fmt: skip
    live = read_live(store, NOW, read_usual(store, NOW))
    by_team = {row.name: row.now for row in live.by["team"]}
    assert by_team["search"] == Decimal("3.00") * 3600 / 90  # 33 seconds of this minute, less 3, and the one before
    assert by_team["research"] == Decimal("15.00") * 12  # five whole minutes; this one is not over
    assert live.now == sum(by_team.values())
    assert list(by_team) == [
        "research",
        "search",
        "platform",
    ]  # by rate: 4 USD in 5 min are less than 3 in 90 s
    assert [row.name for row in live.by["cluster"]] == ["train-a", "serve-a"]
    assert live.by["cluster"][0].now == Decimal(180)
    assert live.today == Decimal(169)
    assert live.billed == Decimal(90)


def test_usual_is_the_median_of_the_same_time_of_the_days_before(store: ClickHouseStore) -> None:
    days: list[Spent] = [(DAY * day, str(usd), {}) for day, usd in ((1, 2), (2, 4), (3, 6), (4, 8), (5, 100))]
    other_hours: list[Spent] = [(DAY * day + timedelta(hours=4), "900", {}) for day in (1, 2, 3)]
    spend(store, *days, *other_hours, (timedelta(seconds=40), "1", {}))
    usual = read_usual(store, NOW)
    assert usual.by_days
    assert usual.rows["team"]["search"][1] == 6 * 60
    assert {band[1] for band in usual.minutes.values()} == {6 * 60}


def test_while_the_days_before_are_not_known_usual_is_the_last_hour_without_its_end(store: ClickHouseStore) -> None:
    spend(store, *((minutes(age), "2", {}) for age in range(3, 50)), (minutes(1), "700", {}))
    usual = read_usual(store, NOW)
    assert (usual.by_days, usual.minutes) == (False, {})
    assert usual.rows["team"]["search"] == (120, 120, 120)
    live = read_live(store, NOW, usual)
    assert live.usual == 120
    assert [row.mood for row in live.by["team"]] == ["high"]


def test_what_detection_expects_and_its_alert_come_before_our_own_guess(store: ClickHouseStore) -> None:
    spend(store, *((minutes(age), "2", {}) for age in range(1, 50)))
    found = finding({"team": "search"}, 40.0, last_seen_at=NOW)
    landed(store, FINDINGS.name, [found])
    landed(store, ALERTS.name, [alert(findings=[found.finding_id])])
    row = read_live(store, NOW, read_usual(store, NOW)).by["team"][0]
    assert (row.usual, row.mood, row.alert_id) == (2.0, "alert", alert().alert_id)


def test_usage_that_has_stopped_is_said(store: ClickHouseStore) -> None:
    spend(store, (minutes(7), "2", {}))
    live = read_live(store, NOW, read_usual(store, NOW))
    assert live.silent_for == minutes(7)


def test_the_inbox_has_what_nobody_has_taken_first(store: ClickHouseStore) -> None:
    mine, other = alert(), alert("k2")
    life, first = opened(mine, NOW)
    landed(store, ALERTS.name, [mine, other])
    landed(store, ALERT_CHANGES.name, [first, act(life, action("ack"))[1]])
    inbox = read_inbox(store, "open", NOW)
    assert [(row["alert_id"], row["state"]) for row in inbox.alerts] == [
        (other.alert_id, "firing"), (mine.alert_id, "acknowledged"),
    ]  # fmt: skip
    assert (inbox.firing, inbox.total, inbox.in_tab("acknowledged"), inbox.in_tab("closed")) == (1, 2, 1, 0)
    assert [row["alert_id"] for row in read_inbox(store, "acknowledged", NOW).alerts] == [mine.alert_id]


def test_an_alerts_page_shows_its_series_and_nobody_elses(store: ClickHouseStore) -> None:
    incident = alert(team="it's")
    began = incident.opened_at
    theirs = {"team": "it's", "principal": "k1"}
    spend(
        store, *((NOW - began + minutes(age), "1", theirs) for age in range(1, 19)),
        (NOW - began - timedelta(seconds=30), "5", theirs), (NOW - began - timedelta(seconds=30), "400", {}),
    )  # fmt: skip
    life, first = opened(incident, began)
    landed(store, ALERTS.name, [incident])
    landed(store, ALERT_CHANGES.name, [first, act(life, action("ack", note="looking"))[1]])
    page = read_incident(store, incident.alert_id, began + minutes(2))
    assert page is not None
    assert page.step == 60
    assert {point.usd for point in page.points} == {0.0, 60.0, 300.0}  # a minute of 1 and of 5 dollars
    assert {point.band for point in page.points} == {(60.0, 60.0)}
    assert [(step.what, step.who, step.note) for step in page.timeline] == [
        ("acked", "ann", "looking"), ("opened", "detection", ""),
    ]  # fmt: skip
    assert "unack" in page.alert["allowed"]


def test_a_driver_is_told_by_the_two_names_that_tell_most() -> None:
    driver = {"team": "support", "model": "sonnet", "feature": "agents", "provider": "anthropic", "principal": "k1"}
    assert driver_name(driver, {"principal": "k1"}, "token_call") == (
        "Feature agents on sonnet", "team support, provider anthropic",
    )  # fmt: skip
    assert driver_name({"principal": "k1"}, {"principal": "k1"}, "token_call") == ("Key k1", "")


@pytest.mark.parametrize(
    ("lasted", "cadence", "step"),
    [(60, 10, 10), (3_600, 10, 60), (86_400, 10, 900), (60, 60, 60), (7_200, 3_600, 3_600), (86_400, 86_400, 86_400)],
)
def test_a_chart_is_never_finer_than_its_series_and_never_too_long(lasted: int, cadence: int, step: int) -> None:
    begin, end, found = extent(NOW, NOW + timedelta(seconds=lasted), cadence)
    assert found == step
    assert begin < NOW < end
    assert (end - begin).total_seconds() / found <= 182


def test_the_band_counts_a_silent_step_as_nothing_but_none_before_the_first() -> None:
    begin = NOW - minutes(20)
    found = {begin + minutes(at): 10.0 for at in (10, 11, 12, 13, 14, 15, 16, 17, 19)}
    assert usual_band(found, [], NOW, begin, 60) == (0.0, 10.0)
    assert usual_band({begin + minutes(17): 1.0}, [], NOW, begin, 60) is None
