"""An alert's states: what people, detection and time make of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.oncall import ActionKind, AlertState, ChangeKind
from schemas.watch import Severity
from streams.core.alert.state import FROM, Life, act, allowed, detected, escalate, expire, opened
from tests.support.findings import at
from tests.support.oncall import action, alert, kinds


def firing() -> Life:
    return opened(alert(), at(1))[0]


def after(*whats: str) -> Life:
    life = firing()
    for minute, what in enumerate(whats, start=2):
        life, _ = act(life, action(what, minute))
    return life


def test_an_alert_begins_firing_and_asks_for_somebody() -> None:
    life, change = opened(alert(), at(1))
    assert (life.state, life.asks_since, life.number) == (AlertState.FIRING, at(1), 1)
    assert (change.what, change.who, change.via, change.at) == (ChangeKind.OPENED, "detection", "detection", at(1))


@pytest.mark.parametrize(
    ("what", "state", "kind"),
    [
        ("ack", AlertState.ACKNOWLEDGED, ChangeKind.ACKED),
        ("snooze", AlertState.SNOOZED, ChangeKind.SNOOZED),
        ("resolve", AlertState.RESOLVED, ChangeKind.RESOLVED_BY_HAND),
        ("false_positive", AlertState.FALSE_POSITIVE, ChangeKind.MARKED_FALSE_POSITIVE),
        ("expected", AlertState.EXPECTED, ChangeKind.MARKED_EXPECTED),
    ],
)
def test_people_answer_what_fires(what: str, state: AlertState, kind: ChangeKind) -> None:
    life, change = act(firing(), action(what, 5, note="mine"))
    assert (life.state, change.what, change.state) == (state, kind, state)
    assert (change.who, change.via, change.at, change.note) == ("ann", "cli", at(5), "mine")
    assert (life.asks_since, life.since, change.number) == (None, at(5), 2)


def test_what_does_not_fit_is_refused_and_says_why() -> None:
    life, change = act(after("resolve"), action("ack", 9))
    assert (life.state, life.since, change.what) == (AlertState.RESOLVED, at(2), ChangeKind.REFUSED)
    assert change.note == "ack does not go with an alert that is resolved"


def test_unack_asks_anew() -> None:
    life, change = act(after("ack"), action("unack", 9))
    assert (life.state, life.asks_since, change.what) == (AlertState.FIRING, at(9), ChangeKind.UNACKED)


def test_a_snooze_ends_at_its_time_whoever_looks_how_late() -> None:
    life = after("snooze")
    until = at(2) + timedelta(hours=1)
    assert expire(life, until - timedelta(seconds=1)) == (life, [])
    life, changes = expire(life, until + timedelta(hours=5))
    assert kinds(changes) == [ChangeKind.SNOOZE_EXPIRED]
    assert (changes[0].at, life.asks_since, life.until) == (until, until, None)


@pytest.mark.parametrize("whats", [(), ("ack",), ("snooze",)])
def test_detection_resolves_what_is_open(whats: tuple[str, ...]) -> None:
    life, changes = detected(after(*whats), alert(resolved=True), at(9))
    assert (life.state, kinds(changes)) == (AlertState.RESOLVED, [ChangeKind.RESOLVED])
    assert detected(life, alert(resolved=True), at(10)) == (life, []), "a repeat changes nothing"


@pytest.mark.parametrize("what", ["false_positive", "expected", "resolve"])
def test_what_a_person_has_closed_is_not_closed_again(what: str) -> None:
    life, changes = detected(after(what), alert(resolved=True), at(9))
    assert (life.state, changes) == (after(what).state, [])


def test_detection_reopens_what_is_over_but_not_what_was_judged() -> None:
    over, _ = detected(firing(), alert(resolved=True), at(9))
    life, changes = detected(over, alert(), at(12))
    assert (life.state, life.asks_since, kinds(changes)) == (AlertState.FIRING, at(12), [ChangeKind.REOPENED])
    judged, _ = detected(after("expected"), alert(resolved=True), at(9))
    assert detected(judged, alert(), at(12))[1] == []


def test_growing_worse_is_said_and_growing_better_is_not() -> None:
    life, changes = detected(firing(), alert(severity=Severity.CRITICAL), at(3))
    assert (kinds(changes), life.severity) == ([ChangeKind.UPDATED], Severity.CRITICAL)
    life, changes = detected(life, alert(severity=Severity.INFO), at(4))
    assert (changes, life.severity) == ([], Severity.CRITICAL)


def test_reopening_by_hand_needs_something_that_goes_on() -> None:
    assert act(after("resolve"), action("reopen", 9))[0].state is AlertState.FIRING
    over, _ = detected(firing(), alert(resolved=True), at(9))
    assert act(over, action("reopen", 10))[1].note == "spend is back to normal: there is nothing to reopen"
    assert ActionKind.REOPEN not in allowed(over.state, is_going_on=False)


def test_only_what_fires_is_escalated() -> None:
    life, change = escalate(firing(), at(9), "lead")
    assert (life.level, change.what, change.note, life.asks_since) == (1, ChangeKind.ESCALATED, "lead", at(1))
    assert act(after("ack"), action("unack", 9))[0].level == 0, "it starts over"
    with pytest.raises(ValueError, match="only what fires"):
        escalate(after("ack"), at(9), "lead")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"what": "snooze", "until": None}, "until must be after now"),
        ({"what": "snooze", "until": at(1)}, "until must be after now"),
        ({"what": "snooze", "until": at(60 * 24 * 31)}, "within 30 days"),
        ({"what": "ack", "until": at(90)}, "until goes with snooze alone"),
        ({"what": "approve_remedy"}, "remedy_id goes with"),
        ({"what": "ack", "remedy_id": "r1"}, "remedy_id goes with"),
    ],
)
def test_an_action_that_makes_no_sense_is_none(body: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        action(**body)  # type: ignore[arg-type]


@given(st.lists(st.one_of(st.sampled_from([kind.value for kind in FROM]), st.sampled_from(["up", "down", "later"]))))
def test_any_story_is_numbered_without_a_gap_and_survives_a_restart(story: list[str]) -> None:
    life, first = opened(alert(), at(0))
    changes = [first]
    for minute, what in enumerate(story, start=1):
        if what in {"up", "down"}:
            life, more = detected(life, alert(resolved=what == "down"), at(minute))
        elif what == "later":
            life, more = expire(life, at(minute))
        else:
            life, change = act(life, action(what, minute))
            more = [change]
        changes += more
        assert life == Life.restored(json.loads(json.dumps(life.snapshot())))
        assert (life.asks_since is not None) == (life.state is AlertState.FIRING)
        assert (life.until is not None) == (life.state is AlertState.SNOOZED)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    assert changes[-1].state is life.state
