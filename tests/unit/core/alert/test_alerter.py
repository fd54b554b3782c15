"""When alerts are said, whatever order their findings come in, and through restarts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.watch import Alert, Finding, FindingKind, Mark, Severity
from streams.core.alert import Alerter, AlertRules
from tests.support.findings import at, driver, finding, mark

RULES = AlertRules(min_excess_usd=Decimal(5))
KEY = {"principal": "k1"}


def run(records: Sequence[Finding | Mark], alerter: Alerter | None = None) -> list[Alert]:
    alerter = alerter or Alerter(RULES)
    alerts: list[Alert] = []
    for record in records:
        if isinstance(record, Mark):
            alerts += alerter.mark(record)
        else:
            alerter.finding(record)
    return alerts


def said(alerts: Sequence[Alert]) -> list[dict[str, Any]]:
    return [alert.model_dump(mode="json") for alert in alerts]


def test_it_waits_for_the_slowest_partition_that_was_heard_of() -> None:
    alerter = Alerter(RULES)
    assert run([mark(0, 0), mark(0, 1), finding(KEY), mark(5, 0)], alerter) == []
    assert len(run([mark(1, 1)], alerter)) == 1


def test_it_waits_for_a_partition_that_has_not_spoken_yet() -> None:
    alerter = Alerter(RULES, partitions=2)
    assert run([finding(KEY), mark(5, 0)], alerter) == []
    assert len(run([mark(5, 1)], alerter)) == 1


def test_a_mark_releases_what_was_known_at_its_time_and_nothing_later() -> None:
    alerter = Alerter(RULES)
    assert run([finding(KEY), mark(0.9)], alerter) == []
    assert len(run([mark(1.0)], alerter)) == 1


def test_one_meter_does_not_wait_for_another() -> None:
    assert len(run([mark(0, meter="line_item", window_seconds=86_400), finding(KEY), mark(1)])) == 1


def test_a_bill_by_the_hour_does_not_wait_for_one_by_the_day() -> None:
    item = finding({"service": "s3"}, meter="line_item", cadence_seconds=3600)
    day = mark(0, meter="line_item", window_seconds=86_400)
    assert len(run([day, item, mark(1, meter="line_item", window_seconds=3600)])) == 1


def test_a_flush_releases_without_marks_up_to_a_time() -> None:
    alerter = Alerter(RULES)
    run([mark(0), finding(KEY), finding({"principal": "k2"}, opened=10.0)], alerter)
    assert alerter.waiting_until == at(11)
    assert [alert.series for alert in alerter.flush(at(1))] == [KEY]
    assert [alert.series for alert in alerter.flush()] == [{"principal": "k2"}]
    assert alerter.waiting_until is None


def test_an_alert_lives_from_firing_to_resolved() -> None:
    alerts = run([
        finding(KEY, 10.0), mark(1),
        finding(KEY, 30.0, revision=1, seen=5), mark(5),
        finding(KEY, 35.0, revision=2, seen=6, closed=8), mark(8),
    ])  # fmt: skip
    assert [alert.status for alert in alerts] == ["firing", "firing", "resolved"]
    assert [alert.revision for alert in alerts] == [0, 1, 2]
    assert [alert.excess_usd for alert in alerts] == [10, 30, 35]
    assert len({alert.alert_id for alert in alerts}) == 1
    assert {alert.detected_at for alert in alerts} == {at(1)}
    assert (alerts[-1].resolved_at, alerts[-1].updated_at) == (at(8), at(8))


def test_it_is_resolved_only_when_all_its_findings_are_closed() -> None:
    team = {"team": "search"}
    alerts = run([
        finding(KEY), finding(team), mark(1),
        finding(KEY, revision=1, closed=5), mark(5),
        finding(team, revision=1, closed=9), mark(9),
    ])  # fmt: skip
    assert [alert.status for alert in alerts] == ["firing", "firing", "resolved"]


def test_what_was_over_before_it_could_be_known_is_still_said() -> None:
    alerts = run([finding(KEY, 50.0, closed=3), mark(5)])
    assert [(alert.status, alert.revision) for alert in alerts] == [("firing", 0), ("resolved", 1)]


@pytest.mark.parametrize(
    ("kind", "excess", "per_hour", "status", "pages"),
    [
        (FindingKind.SPIKE, 5.0, 0.0, "open", True),
        (FindingKind.SPIKE, 4.9, 0.0, "open", False),
        (FindingKind.SPIKE, 4.9, 0.0, "closed", False),
        (FindingKind.SPIKE, 0.1, 4.9, "open", True),  # 0.10 so far and 4.90 within the hour make 5.00
        (FindingKind.SPIKE, 0.1, 4.8, "open", False),
        (FindingKind.SPIKE, 0.09, 500.0, "open", False),  # a first part of the minimum must be spent
        (FindingKind.SPIKE, 0.1, 4.9, "closed", False),
        (FindingKind.DROP, -5.0, 0.0, "open", True),
        (FindingKind.DROP, -1.0, -10.0, "open", False),  # a silent meter costs nothing while one makes sure
        (FindingKind.NEW_SERIES, 1.0, 50.0, "open", False),
        (FindingKind.UNPRICED, 1.0, 50.0, "open", False),
        (FindingKind.UNALLOCATED, 1.0, 50.0, "open", False),
        (FindingKind.UNALLOCATED, 5.0, 0.0, "open", True),
        (FindingKind.CREEP, 1.0, 50.0, "open", True),
    ],
)
def test_what_pages(kind: FindingKind, excess: float, per_hour: float, status: str, pages: bool) -> None:
    one = finding(KEY, excess, kind=kind, per_hour=per_hour, closed=2.0 if status == "closed" else None)
    assert RULES.pages(one) is pages
    assert bool(run([one, mark(9)])) is pages


def test_what_grows_over_the_minimum_pages_then() -> None:
    grow = [finding(KEY, usd, per_hour=0.0, revision=n, seen=n + 1.0) for n, usd in enumerate([1.0, 3.0, 6.0])]
    alerts = run([*grow, mark(10)])
    assert [alert.detected_at for alert in alerts] == [at(3)]
    assert [alert.excess_usd for alert in alerts] == [6]


@pytest.mark.parametrize(
    ("excess", "per_hour", "severity"),
    [
        (6.0, 1.0, Severity.INFO),
        (20.0, 1.0, Severity.WARNING),
        (6.0, 9.0, Severity.WARNING),  # 216 USD a day
        (200.0, 1.0, Severity.CRITICAL),
        (6.0, 90.0, Severity.CRITICAL),
        (-200.0, -1.0, Severity.CRITICAL),
    ],
)
def test_severity_is_by_dollars(excess: float, per_hour: float, severity: Severity) -> None:
    assert [alert.severity for alert in run([finding(KEY, excess, per_hour=per_hour), mark(1)])] == [severity]


def test_severity_does_not_fall_when_it_is_over() -> None:
    alerts = run([finding(KEY, 6.0, per_hour=90.0), mark(1), finding(KEY, 6.0, revision=1, closed=3), mark(3)])
    assert [alert.severity for alert in alerts] == [Severity.CRITICAL, Severity.CRITICAL]


def test_repeated_and_old_records_change_nothing() -> None:
    alerter = Alerter(RULES)
    first, second = finding(KEY, 10.0), finding(KEY, 20.0, revision=1, seen=5)
    run([first, second, mark(5)], alerter)
    assert run([first, second, mark(5), mark(3), mark(9)], alerter) == []


def test_of_two_states_of_one_moment_the_newer_counts() -> None:
    first, second = finding(KEY, 10.0), finding(KEY, 20.0, revision=1)
    for order in ([first, second], [second, first]):
        assert [alert.excess_usd for alert in run([*order, mark(5)])] == [20]


def test_what_several_incidents_share_names_none_of_them_after_a_restart_either() -> None:
    keys = [finding({"principal": f"k{n}"}, 10.0) for n in range(3)]
    alerter = Alerter(RULES)
    assert len(run([*keys, finding({}, 30.0), mark(1)], alerter)) == 3
    restored = Alerter(RULES).restore(json.loads(json.dumps(alerter.snapshot())))
    grown = finding({}, 60.0, revision=1, seen=2)
    [alert] = run([grown, mark(2)], restored)
    assert "principal" in alert.series


def test_a_repeated_record_of_what_is_over_opens_nothing() -> None:
    alerter = Alerter(RULES)
    story = [finding(KEY), finding(KEY, revision=1, closed=5)]
    assert len(run([*story, mark(5)], alerter)) == 2
    far = finding({"principal": "k9"}, opened=600.0)
    assert len(run([far, mark(700)], alerter)) == 1
    assert run([*story, mark(701)], alerter) == []


# Stories for the properties: findings of several incidents through their lives.

SERIES = [
    {}, {"team": "a"}, {"team": "b"}, {"model": "m"}, {"principal": "k1"}, {"principal": "k2"},
    {"principal": "k1", "model": "m"}, {"principal": "k2", "model": "m"}, {"feature": "f"},
]  # fmt: skip
CELLS = [{"principal": "k1", "team": "a", "model": "m"}, {"principal": "k2", "team": "b", "model": "m", "feature": "f"}]


@st.composite
def lives(draw: st.DrawFn) -> list[Finding]:
    """The revisions of one finding, opened once, growing, perhaps closed."""
    series = draw(st.sampled_from(SERIES))
    opened = float(draw(st.integers(0, 40)))
    count = draw(st.integers(1, 3))
    shares = draw(st.sampled_from([(), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.9, 0.1)]))
    drivers = [driver(share, **cell) for share, cell in zip(shares, CELLS, strict=False) if share]
    kind = draw(st.sampled_from([FindingKind.SPIKE, FindingKind.DROP, FindingKind.NEW_SERIES]))
    sign = -1 if kind is FindingKind.DROP else 1
    base = draw(st.floats(0.1, 20))
    story = [
        finding(series, sign * round(base * (n + 1), 2), opened=opened, seen=opened + 1 + n, revision=n, kind=kind,
                drivers=drivers)
        for n in range(count)
    ]  # fmt: skip
    if draw(st.booleans()):
        story.append(story[-1].model_copy(
            update={"status": "closed", "closed_at": story[-1].last_seen_at + timedelta(minutes=2), "revision": count}
        ))  # fmt: skip
    return story


stories = st.lists(lives(), max_size=8, unique_by=lambda story: story[0].finding_id).map(
    lambda found: [record for story in found for record in story]
)
END = mark(1_000)


@settings(deadline=None)
@given(story=stories, data=st.data())
def test_the_order_of_arrival_does_not_matter(story: list[Finding], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(story))
    assert said(run([*shuffled, END])) == said(run([*story, END]))


@settings(deadline=None)
@given(story=stories, times=st.lists(st.integers(0, 60), max_size=6))
def test_how_often_marks_come_does_not_matter(story: list[Finding], times: list[int]) -> None:
    marked: list[Finding | Mark] = [*story, *map(mark, sorted(times)), END]
    assert said(run(marked)) == said(run([*story, END]))


@given(story=stories)
def test_no_finding_is_lost_or_in_two_alerts(story: list[Finding]) -> None:
    newest: dict[str, Finding] = {one.finding_id: one for one in story}
    alerts = {alert.alert_id: alert for alert in run([*story, END])}
    members = [finding_id for alert in alerts.values() for finding_id in alert.findings]
    assert len(members) == len(set(members))
    assert set(members) <= set(newest)
    left = [one for finding_id, one in newest.items() if finding_id not in members]
    assert not [one for one in left if RULES.pages(one)], "what pages is in an alert"
    for alert in alerts.values():
        assert alert.finding_id in alert.findings
        assert alert.status == ("firing" if any(newest[i].status == "open" for i in alert.findings) else "resolved")


@given(story=stories, cut=st.integers(0, 40))
def test_a_restart_gives_the_same_alerts(story: list[Finding], cut: int) -> None:
    ordered = sorted(story, key=lambda one: (one.last_seen_at, one.finding_id, one.revision))
    records: list[Finding | Mark] = [step for n, one in enumerate(ordered) for step in (one, mark(n, n % 2))]
    records += [mark(900, 0), mark(900, 1)]
    whole = Alerter(RULES)
    expected = run(records, whole)
    before = Alerter(RULES)
    first = run(records[:cut], before)
    restored = Alerter(RULES).restore(json.loads(json.dumps(before.snapshot())))
    assert said(first + run(records[cut:], restored)) == said(expected)
    assert restored.snapshot() == whole.snapshot()
    assert said(restored.firing()) == said(whole.firing())


def test_another_key_that_goes_wrong_after_the_page_is_another_page_though_their_feature_sees_both() -> None:
    feature, second = {"feature": "f"}, {"principal": "k2"}
    first: list[Finding | Mark] = [finding(KEY, 10.0), finding(feature, 10.0, drivers=[driver(1.0, **KEY)]), mark(1)]
    both = [driver(0.7, **second), driver(0.3, **KEY)]
    then: list[Finding | Mark] = [
        finding(feature, 30.0, revision=1, seen=6, drivers=both), mark(6),
        finding(second, 20.0, opened=6.0, drivers=[driver(1.0, **feature)]), mark(7),
    ]  # fmt: skip
    alerter = Alerter(RULES)
    (page,) = run(first, alerter)
    restored = Alerter(RULES).restore(json.loads(json.dumps(alerter.snapshot())))
    renamed, other = run(then, restored)
    assert (page.series, renamed.series) == (KEY, feature)  # the case where the second used to be lost in the first
    assert (other.series, other.alert_id == page.alert_id) == (second, False)


@pytest.mark.parametrize(
    ("kind", "excess", "per_hour", "pages"),
    [
        (FindingKind.DROP, -10.0, 10.0, 2),
        (FindingKind.SPIKE, 10.0, 101.0, 2),
        (FindingKind.SPIKE, 10.0, 99.0, 1),
    ],
)
def test_more_of_the_same_key_is_one_page_and_silence_or_ten_times_as_much_is_another(
    kind: FindingKind, excess: float, per_hour: float, pages: int
) -> None:
    creep = finding(KEY, 10.0, per_hour=10.0, kind=FindingKind.CREEP)
    more = finding(KEY, excess, per_hour=per_hour, opened=30.0, kind=kind)
    part = finding({**KEY, "model": "m"}, excess, per_hour=per_hour, opened=30.0, kind=kind)
    alerter = Alerter(RULES)
    alerts = run([creep, mark(10)], alerter)
    saved = json.loads(json.dumps(alerter.snapshot()))
    again = Alerter(RULES).restore(saved)
    assert again.snapshot() == saved
    for group in saved["groups"]["token_call"]:
        del group["pace"]  # as an older release wrote it
    alerts += run([more, part, mark(40)], Alerter(RULES).restore(saved))
    assert len({alert.alert_id for alert in alerts}) == pages
    assert {alert.series["principal"] for alert in alerts} == {"k1"}


@pytest.mark.parametrize(("expected", "per_hour", "pages"), [(12.0, 40.0, 2), (5.0, 40.0, 1), (12.0, 14.0, 1)])
def test_what_comes_on_top_of_what_was_paged_for_and_is_usual_by_now_pages_anew(
    expected: float, per_hour: float, pages: int
) -> None:
    """A creep to 12 USD an hour: a loop in it that is dearer than the creep, and measured against those 12."""
    creep = finding(KEY, 10.0, per_hour=10.0, kind=FindingKind.CREEP)
    expects, spends = Decimal(str(expected)), Decimal(str(expected + per_hour))
    loop = finding(KEY, 10.0, opened=90.0, expected_usd_per_hour=expects, observed_usd_per_hour=spends)
    alerts = run([creep, mark(10), loop, mark(100)], Alerter(RULES))
    assert len({alert.alert_id for alert in alerts}) == pages


def test_keys_that_go_wrong_before_the_page_are_one_incident_of_their_feature() -> None:
    feature = {"feature": "f"}
    keys = [finding({"principal": f"k{n}"}, 10.0, drivers=[driver(1.0, **feature)]) for n in (1, 2, 3)]
    parts = [driver(1 / 3, principal=f"k{n}") for n in (1, 2, 3)]
    assert len(run([finding(feature, 30.0, drivers=parts), *keys, mark(1)])) == 1
