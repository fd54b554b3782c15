"""The desk on call: who is told of what, when, and what people and time make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from schemas.oncall import AlertState, ChangeKind
from schemas.watch import Severity
from streams.core.alert.desk import Desk, Told
from streams.core.alert.notices import Why
from streams.core.alert.routes import Level, Quiet, Route, Routing
from streams.core.hours import DAYS, Hours
from tests.support.findings import at, driver
from tests.support.oncall import action, alert, kinds

MINUTE = timedelta(minutes=1)
NIGHT = Hours(time(22), time(6), frozenset(DAYS), UTC)
PLAIN = Routing(("chat", "pager"), always=frozenset({"log"}), informed=frozenset({"alertmanager"}))


def said(told: Told) -> list[tuple[str, tuple[str, ...]]]:
    return [(notice.why.value, notice.to) for notice in told.notices]


def begun(routing: Routing = PLAIN, **more: object) -> Desk:
    desk = Desk(routing)
    desk.detected(alert(**more), at(1))  # type: ignore[arg-type]
    return desk


def test_an_alert_is_said_when_it_begins_and_when_it_ends() -> None:
    desk = Desk(PLAIN)
    assert said(desk.detected(alert(), at(1))) == [("firing", ("chat", "pager", "log"))]
    assert said(desk.detected(alert(revision=1), at(2))) == [], "what only goes on is not said again"
    told = desk.detected(alert(resolved=True, revision=2), at(9))
    assert said(told) == [("resolved", ("chat", "pager", "log"))]
    assert said(desk.detected(alert(resolved=True, revision=2), at(9))) == []


def test_an_older_revision_changes_nothing() -> None:
    desk = begun()
    desk.detected(alert(resolved=True, revision=2), at(9))
    assert desk.detected(alert(revision=1), at(10)) == Told()


def test_growing_worse_is_said() -> None:
    told = begun().detected(alert(severity=Severity.CRITICAL, revision=1), at(3))
    assert said(told) == [("worse", ("chat", "pager", "log"))]


@pytest.mark.parametrize("what", ["resolve", "false_positive", "expected"])
def test_what_a_person_closes_is_said_once_with_who_closed_it(what: str) -> None:
    desk = begun()
    told = desk.act(action(what, 5), at(5))
    assert said(told) == [("resolved", ("chat", "pager", "log"))]
    assert told.notices[0].by == "ann"
    assert said(desk.detected(alert(resolved=True, revision=2), at(9))) == []


def test_an_ack_is_told_to_whom_it_concerns_and_ends_reminders_and_escalations() -> None:
    desk = begun(Routing(("chat",), renotify=10 * MINUTE, levels=(Level(20 * MINUTE, ("lead",)),),
                         informed=frozenset({"alertmanager"})))  # fmt: skip
    assert said(desk.tick(at(12))) == [("again", ("chat",))]
    assert said(desk.act(action("ack", 13), at(13))) == [("acked", ("alertmanager",))]
    assert said(desk.tick(at(500))) == []
    assert said(desk.act(action("unack", 501), at(501))) == [("unacked", ("alertmanager",))]
    assert said(desk.tick(at(521))) == [("escalated", ("lead",))]


def test_a_reminder_comes_once_however_long_nobody_looked() -> None:
    desk = begun(Routing(("chat",), renotify=10 * MINUTE))
    assert said(desk.tick(at(10.9))) == []
    assert said(desk.tick(at(500))) == [("again", ("chat",))]
    assert said(desk.tick(at(509))) == []
    assert said(desk.tick(at(510))) == [("again", ("chat",))]


def test_nobody_answers_so_it_goes_up_level_by_level_at_its_times() -> None:
    desk = begun(Routing(("chat",), levels=(Level(5 * MINUTE, ("lead",)), Level(15 * MINUTE, ("boss", "lead")))))
    assert said(desk.tick(at(5.9))) == []
    told = desk.tick(at(6.1))
    assert said(told) == [("escalated", ("lead",))]
    assert (told.changes[0].what, told.changes[0].at, told.changes[0].level) == (ChangeKind.ESCALATED, at(6), 1)
    assert said(desk.tick(at(60))) == [("escalated", ("boss", "lead"))]
    assert said(desk.tick(at(600))) == []
    told = desk.detected(alert(resolved=True, revision=2), at(700))
    assert said(told) == [("resolved", ("chat", "lead", "boss"))], "whoever was told of it is told of its end"


def test_a_snooze_that_is_over_is_said_anew() -> None:
    desk = begun()
    assert said(desk.act(action("snooze", 5), at(5))) == [("snoozed", ("alertmanager",))]
    assert said(desk.detected(alert(severity=Severity.CRITICAL, revision=1), at(9))) == []
    assert said(desk.tick(at(64))) == []
    told = desk.tick(at(90))
    assert (said(told)[0][0], kinds(told.changes)) == ("firing", [ChangeKind.SNOOZE_EXPIRED])


def test_what_fell_due_before_an_action_comes_before_it() -> None:
    desk = begun(Routing(("chat",), levels=(Level(5 * MINUTE, ("lead",)),)))
    told = desk.act(action("ack", 30), at(31))
    assert kinds(told.changes) == [ChangeKind.ESCALATED, ChangeKind.ACKED]


def test_an_action_repeated_is_one_and_an_unknown_alert_is_refused() -> None:
    desk = begun()
    assert kinds(desk.act(action("ack"), at(5)).changes) == [ChangeKind.ACKED]
    assert desk.act(action("ack"), at(6)) == Told()
    told = desk.act(action("ack", 7, alert_id="al-none"), at(7))
    assert (kinds(told.changes), told.changes[0].number) == ([ChangeKind.REFUSED], 0)


def test_detection_learns_what_people_say_of_it() -> None:
    desk = begun()
    (about, change) = desk.act(action("false_positive"), at(5)).feedback[0]
    assert (about.finding_id, change.state, change.who) == (alert().finding_id, AlertState.FALSE_POSITIVE, "ann")
    assert desk.act(action("ack", 6), at(6)).feedback == []


ROUTES = Routing(
    ("chat", "pager", "mail"),
    (
        Route(("pager",), severities=frozenset({Severity.CRITICAL}), goes_on=True),
        Route(("mail",), teams=frozenset({"search"})),
        Route((), environments=frozenset({"dev"})),
        Route(("chat",), hours=Hours(time(9), time(17), frozenset({"thu"}), ZoneInfo("Europe/Berlin"))),
    ),
)


@pytest.mark.parametrize(
    ("more", "minute", "receivers"),
    [
        ({"severity": Severity.CRITICAL}, 0, ("pager", "chat")),
        ({"severity": Severity.CRITICAL, "team": "search"}, 0, ("pager", "mail")),
        ({"team": "search"}, 0, ("mail",)),
        ({"drivers": [driver(0.9, team="search")]}, 0, ("mail",)),
        ({"drivers": [driver(0.4, team="search")]}, 0, ("chat",)),
        ({"series": {"environment": "dev"}}, 0, ()),
        ({}, 359, ("chat",)),  # 15:59 UTC is 16:59 in Berlin
        ({}, 360, ("chat", "pager", "mail")),  # after hours no route takes it: everybody is told
    ],
)
def test_routes_take_alerts_in_order(more: dict[str, object], minute: float, receivers: tuple[str, ...]) -> None:
    assert ROUTES.plan(alert(**more), at(minute)).receivers == receivers  # type: ignore[arg-type]


def test_a_night_belongs_to_the_day_that_it_began_on() -> None:
    friday_night = Hours(time(22), time(6), frozenset({"fri"}), UTC)
    friday = datetime(2026, 11, 13, tzinfo=UTC)
    hours = {21: False, 22: True, 24: True, 29.9: True, 30: False, 46: False}
    assert {hour: friday_night.covers(friday + timedelta(hours=hour)) for hour in hours} == hours


def test_quiet_hours_hold_what_is_not_critical_until_they_end() -> None:
    desk = Desk(Routing(("chat", "pager"), quiet=(Quiet(NIGHT, frozenset({"chat"})),)))
    night, morning = at(60 * 13), at(60 * 20)  # 23:00 and 06:00
    assert said(desk.detected(alert(), night)) == [("firing", ("pager",))]
    assert said(desk.detected(alert("k2", severity=Severity.CRITICAL), night)) == [("firing", ("chat", "pager"))]
    assert said(desk.tick(morning - MINUTE)) == []
    assert said(desk.tick(morning)) == [("firing", ("chat",))]
    assert said(desk.tick(morning + MINUTE)) == []


def test_what_is_over_or_answered_by_the_morning_is_not_said_at_all() -> None:
    night, morning = at(60 * 13), at(60 * 20)
    for answer in ("over", "acked"):
        desk = Desk(Routing(("chat",), quiet=(Quiet(NIGHT),)))
        assert said(desk.detected(alert(), night)) == []
        if answer == "over":
            desk.detected(alert(resolved=True, revision=2), night + MINUTE)
        else:
            desk.act(action("ack", 60 * 13 + 1), night + MINUTE)
        assert said(desk.tick(morning)) == []


def test_the_end_of_what_was_said_before_the_night_is_said_after_it() -> None:
    desk = begun(Routing(("chat",), quiet=(Quiet(NIGHT),)))
    assert said(desk.detected(alert(resolved=True, revision=2), at(60 * 13))) == []
    assert said(desk.tick(at(60 * 20))) == [("resolved", ("chat",))]


def test_in_quiet_hours_somebody_else_may_be_told() -> None:
    desk = Desk(Routing(("pager",), quiet=(Quiet(NIGHT, mode="instead", instead=("mail",)),)))
    assert said(desk.detected(alert(), at(60 * 13))) == [("firing", ("mail",))]


def test_what_belongs_together_and_comes_together_is_one_message() -> None:
    route = Route(("chat",), group_by=("team",), group_wait=MINUTE)
    desk = Desk(Routing(("chat",), (route,), always=frozenset({"alertmanager"})))
    for number, key in enumerate(["k1", "k2", "k3"]):
        team = "search" if key != "k3" else "ads"
        told = desk.detected(alert(key, team=team), at(1 + number / 10))
        assert said(told) == [("firing", ("alertmanager",))], "Alertmanager groups by itself"
    desk.detected(alert("k4", team="search"), at(1.3))
    desk.detected(alert("k4", team="search", resolved=True, revision=2), at(1.4))
    told = desk.tick(at(2.2))
    by_team = {notice.alert.series["team"]: notice for notice in told.notices}
    assert [one.series["principal"] for one in by_team["search"].alerts] == ["k1", "k2"], "k4 is over already"
    assert len(by_team["ads"].alerts) == 1
    assert desk.tick(at(9)).notices == []


def test_a_restart_changes_nothing() -> None:
    routing = Routing(
        ("chat", "pager"),
        (Route(("chat",), group_by=("team",), group_wait=MINUTE, teams=frozenset({"search"})),),
        quiet=(Quiet(NIGHT, frozenset({"pager"})),),
        renotify=10 * MINUTE,
        levels=(Level(5 * MINUTE, ("lead",)),),
    )

    def steps(desk: Desk, restart: bool) -> list[Told]:
        told = []
        script: list[Callable[[Desk], Told]] = [
            lambda d: d.detected(alert(), at(770)),
            lambda d: d.detected(alert("k2", team="search"), at(770)),
            lambda d: d.tick(at(772)),
            lambda d: d.act(action("snooze", 773), at(773)),
            lambda d: d.tick(at(790)),
            lambda d: d.act(action("snooze", 773), at(791)),
            lambda d: d.tick(at(900)),
            lambda d: d.tick(at(60 * 20)),
            lambda d: d.detected(alert(resolved=True, revision=4), at(60 * 21)),
        ]
        for step in script:
            told.append(step(desk))
            if restart:
                desk = Desk(routing).restore(json.loads(json.dumps(desk.snapshot())))
        return told

    assert steps(Desk(routing), restart=True) == steps(Desk(routing), restart=False)


def test_who_was_told_by_a_release_without_a_desk_is_told_of_the_end() -> None:
    desk = Desk(PLAIN)
    assert kinds(desk.adopt([alert()], at(1))) == [ChangeKind.OPENED]
    assert desk.tick(at(2)).notices == []
    assert said(desk.detected(alert(resolved=True, revision=2), at(9))) == [("resolved", ("chat", "pager", "log"))]


def test_every_notice_has_an_id_of_its_own() -> None:
    desk = begun(Routing(("chat",), renotify=MINUTE))
    ids = [notice.notice_id for minute in range(2, 30) for notice in desk.tick(at(minute)).notices]
    assert len(ids) == len(set(ids)) == 28
    assert Why.AGAIN.value in ids[0]
