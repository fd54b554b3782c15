"""One incident, one alert, named by the narrowest series that explains it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.watch import Alert, Finding, FindingKind
from streams.core.alert import Alerter, AlertRules
from tests.support.findings import at, driver, finding, last

RULES = AlertRules(min_excess_usd=Decimal(5))


def alerts_of(*findings: Finding) -> list[Alert]:
    alerter = Alerter(RULES)
    for one in findings:
        alerter.finding(one)
    return alerter.flush()


def named(*findings: Finding) -> list[str]:
    return sorted(last(alerts_of(*findings)))


def test_a_loop_in_one_key_is_one_alert_named_by_the_key() -> None:
    cell = {"principal": "k1", "team": "search", "model": "m1", "feature": "answers", "provider": "p"}
    alerts = alerts_of(
        finding({}, 11.0, drivers=[driver(0.9, **cell)]),
        finding({"provider": "p"}, 11.0, drivers=[driver(0.9, **cell)]),
        finding({"team": "search"}, 10.5, drivers=[driver(0.95, **cell)]),
        finding({"model": "m1"}, 10.2, drivers=[driver(0.97, **cell)]),
        finding({"feature": "answers"}, 10.1, drivers=[driver(0.97, **cell)]),
        finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, **cell)]),
        finding({"principal": "k1", "model": "m1"}, 10.0, drivers=[driver(1.0, **cell)]),
    )
    [alert] = last(alerts).values()
    assert alert.series == {"principal": "k1"}
    assert len(alert.findings) == 7


def test_without_drivers_the_dollars_tell() -> None:
    assert named(finding({}, 11.0), finding({"team": "search"}, 10.5), finding({"principal": "k1"}, 10.0)) == [
        "principal=k1"
    ]


def test_two_incidents_at_the_same_time_stay_two() -> None:
    one = {"principal": "k1", "team": "search", "model": "m1"}
    two = {"principal": "k2", "team": "ads", "model": "m1"}
    both = [driver(0.5, **one), driver(0.5, **two)]
    assert named(
        finding({}, 20.0, drivers=both),
        finding({"model": "m1"}, 20.0, drivers=both),
        finding({"team": "search"}, 10.0, drivers=[driver(1.0, **one)]),
        finding({"team": "ads"}, 10.0, drivers=[driver(1.0, **two)]),
        finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, **one)]),
        finding({"principal": "k2"}, 10.0, drivers=[driver(1.0, **two)]),
    ) == ["principal=k1", "principal=k2"]


def test_two_incidents_stay_two_when_the_total_was_seen_first() -> None:
    one, two = {"principal": "k1", "team": "search"}, {"principal": "k2", "team": "ads"}
    alerts = alerts_of(
        finding({}, 20.0, drivers=[driver(0.5, **one), driver(0.5, **two)]),
        finding({"principal": "k1"}, 10.0, opened=1, drivers=[driver(1.0, **one)]),
        finding({"principal": "k2"}, 10.0, opened=2, drivers=[driver(1.0, **two)]),
    )
    assert sorted(last(alerts)) == ["principal=k1", "principal=k2"]
    assert len({alert.alert_id for alert in alerts}) == 2


def test_three_incidents_together_explain_the_total() -> None:
    keys = [finding({"principal": f"k{n}"}, 10.0) for n in range(3)]
    assert named(finding({}, 30.0), *keys) == ["principal=k0", "principal=k1", "principal=k2"]


def test_what_the_narrow_ones_do_not_explain_is_an_incident_of_its_own() -> None:
    assert named(finding({}, 100.0), finding({"principal": "k1"}, 6.0)) == ["all", "principal=k1"]


def test_a_deploy_that_bloats_a_feature_shows_in_many_keys_and_is_one_alert() -> None:
    keys = [f"k{n}" for n in range(4)]
    whole = [driver(0.25, principal=key, feature="answers") for key in keys]
    parts = [finding({"principal": k}, 10.0, drivers=[driver(1.0, principal=k, feature="answers")]) for k in keys]
    assert named(finding({"feature": "answers"}, 40.0, drivers=whole), *parts) == ["feature=answers"]


def test_a_leaked_key_is_named_by_the_key_and_not_by_its_model() -> None:
    cell = {"principal": "thief", "team": "search", "model": "opus"}
    assert named(
        finding({"principal": "thief"}, 10.0, kind=FindingKind.NEW_SERIES),
        finding({"principal": "thief", "model": "opus"}, 10.0, kind=FindingKind.NEW_SERIES),
        finding({"team": "search"}, 10.0, drivers=[driver(1.0, **cell)]),
        finding({"team": "search", "model": "opus"}, 10.0, drivers=[driver(1.0, **cell)]),
    ) == ["principal=thief"]


def test_a_model_swap_is_one_alert_although_the_former_model_drops() -> None:
    new = {"principal": "k1", "model": "opus"}
    old = {"principal": "k1", "model": "haiku"}
    assert named(
        finding({"principal": "k1"}, 9.0, drivers=[driver(1.0, **new)]),
        finding(new, 10.0, drivers=[driver(1.0, **new)]),
        finding(old, -6.0, kind=FindingKind.DROP),
        finding({"model": "haiku"}, -6.0, kind=FindingKind.DROP, drivers=[driver(1.0, **old)]),
    ) == ["principal=k1"]


def test_a_gpu_runaway_is_named_by_the_cluster() -> None:
    where = {"cluster": "c1", "accelerator": "h100"}
    assert named(
        *(finding(series, 10.0, meter="gpu_usage") for series in ({}, {"provider": "aws"}, {"team": "risk"}, where))
    ) == ["accelerator=h100,cluster=c1"]


def test_idle_gpus_are_not_mixed_with_an_excess() -> None:
    where = {"cluster": "c1", "accelerator": "h100"}
    alerts = alerts_of(
        finding(where, 10.0, meter="gpu_usage"), finding(where, 10.0, meter="gpu_usage", kind=FindingKind.IDLE)
    )
    assert {alert.kind for alert in last(alerts).values()} | {a.kind for a in alerts} == {
        FindingKind.SPIKE,
        FindingKind.IDLE,
    }


def test_meters_are_not_mixed() -> None:
    alerts = alerts_of(finding({}, 10.0), finding({}, 10.0, meter="gpu_usage", finding_id="other"))
    assert len({alert.alert_id for alert in alerts}) == 2


def test_a_narrower_series_known_later_renames_and_does_not_page_again() -> None:
    alerts = alerts_of(finding({"team": "search"}, 10.0), finding({"principal": "k1"}, 10.0, opened=1))
    assert [alert.series for alert in alerts] == [{"team": "search"}, {"principal": "k1"}]
    assert [alert.revision for alert in alerts] == [0, 1]
    assert len({alert.alert_id for alert in alerts}) == 1
    assert alerts[1].detected_at == alerts[0].detected_at, "it paged when it paged"


def test_a_wider_series_known_later_joins() -> None:
    alerts = alerts_of(finding({"principal": "k1"}, 10.0), finding({}, 12.0, opened=3))
    assert list(last(alerts)) == ["principal=k1"]
    assert len(last(alerts)["principal=k1"].findings) == 2


def test_a_small_one_that_turns_out_to_explain_an_alert_names_it_and_does_not_page() -> None:
    small = finding({"principal": "k1"}, 2.0, opened=5, per_hour=0.0)
    alerts = alerts_of(
        finding({}, 20.0, per_hour=0.0),
        small,
        finding({"principal": "k1"}, 15.0, opened=5, per_hour=0.0, revision=1, seen=9),
    )
    assert [alert.series for alert in alerts] == [{}, {"principal": "k1"}]
    assert len({alert.alert_id for alert in alerts}) == 1


def test_a_new_incident_elsewhere_does_not_drown_in_an_open_alert() -> None:
    other = driver(0.9, principal="k2", team="ads")
    assert named(finding({"principal": "k1"}, 10.0), finding({"team": "ads"}, 8.0, opened=90, drivers=[other])) == [
        "principal=k1",
        "team=ads",
    ]


def test_the_name_does_not_waver_between_equals() -> None:
    first, second = {"team": "search"}, {"team": "search", "model": "m1"}
    alerter = Alerter(RULES)
    names = []
    for n, (a, b) in enumerate([(10.0, 9.0), (11.0, 12.0), (13.0, 12.5)]):
        alerter.finding(finding(first, a, revision=n, seen=n + 1))
        alerter.finding(finding(second, b, revision=n, seen=n + 1))
        names += [alert.series for alert in alerter.flush()]
    assert names == [first] * 3


@pytest.mark.parametrize(("gap", "count"), [(5.0, 1), (14.0, 1), (60.0, 2)])
def test_the_same_trouble_again_soon_is_the_same_alert(gap: float, count: int) -> None:
    series = {"team": "search"}
    alerts = alerts_of(
        finding(series, 10.0),
        finding(series, 10.0, revision=1, closed=10.0),
        finding(series, 10.0, opened=10.0 + gap),
    )
    assert len({alert.alert_id for alert in alerts}) == count
    assert [alert.status for alert in alerts] == ["firing", "resolved", "firing"]


@pytest.mark.parametrize(
    ("gap", "per_hour", "count"), [(60.0, 30.0, 1), (115.0, 44.0, 1), (125.0, 30.0, 2), (60.0, 46.0, 2)]
)
def test_a_key_whose_work_comes_in_bouts_is_one_alert(gap: float, per_hour: float, count: int) -> None:
    """As long as it is back within two hours, and at no more than half as much again: what is dearer is news."""
    series = {"principal": "k1"}
    alerts = alerts_of(
        finding(series, 10.0, per_hour=30.0),
        finding(series, 10.0, per_hour=30.0, revision=1, closed=10.0),
        finding(series, 10.0, per_hour=per_hour, opened=10.0 + gap),
    )
    assert len({alert.alert_id for alert in alerts}) == count
    assert [alert.status for alert in alerts] == ["firing", "resolved", "firing"]


def test_a_bout_that_is_found_late_belongs_to_when_it_began() -> None:
    series = {"principal": "k1"}
    first, over = finding(series, 10.0), finding(series, 10.0, revision=1, closed=10.0)
    late = finding(series, 10.0, opened=125.0, detected_at=at(165.0), seen=165.0)
    assert len({alert.alert_id for alert in alerts_of(first, over, late)}) == 1


def test_dearer_models_after_a_bout_of_requests_are_another_incident() -> None:
    series = {"principal": "k1"}
    bout, over = finding(series, 10.0), finding(series, 10.0, revision=1, closed=10.0, cause="volume")
    dearer = finding(series, 10.0, opened=70.0, cause="mix")
    assert len({alert.alert_id for alert in alerts_of(bout, over, dearer)}) == 2


@pytest.mark.parametrize(
    ("first", "cause", "count"),
    [(FindingKind.CREEP, "tokens_per_request", 2), (FindingKind.CREEP, "volume", 1), (FindingKind.SPIKE, "mix", 1)],
)
def test_dearer_requests_while_a_key_creeps_are_another_incident(first: FindingKind, cause: str, count: int) -> None:
    series = {"principal": "k1"}
    slow = finding(series, 10.0, kind=first, cause="volume")
    dearer = finding(series, 12.0, opened=70.0, cause=cause)
    assert len({alert.alert_id for alert in alerts_of(slow, dearer)}) == count


def test_a_key_that_falls_silent_after_a_bout_is_another_incident() -> None:
    series = {"principal": "k1"}
    bout, over = finding(series, 10.0), finding(series, 10.0, revision=1, closed=10.0)
    silent = finding(series, -10.0, opened=70.0, kind=FindingKind.DROP)
    assert len({alert.alert_id for alert in alerts_of(bout, over, silent)}) == 2


def test_keys_that_fall_silent_together_are_one_outage() -> None:
    """The later ones are told later, for each has its own patience; one that fell silent an hour on is another."""
    drops = [
        finding({"principal": f"k{n}"}, -10.0 - n, opened=n % 3, seen=50 + 4 * n, kind=FindingKind.DROP)
        for n in range(6)
    ]
    [alert] = last(alerts_of(*drops)).values()
    assert len(alert.findings) == 6
    other = finding({"principal": "k9"}, -10.0, opened=65, kind=FindingKind.DROP)
    assert len(named(*drops, other)) == 2


def test_the_accounts_of_a_service_are_one_incident_whichever_names_it() -> None:
    """The second account is a small part, and comes when the first names the alert already."""
    alerts = alerts_of(
        finding({"service": "ec2"}, 28.0, drivers=[driver(0.92, account="a2"), driver(0.08, account="a1")]),
        finding({"service": "ec2", "account": "a2"}, 26.0),
        finding({"service": "ec2", "account": "a1"}, 2.2, opened=0.5, seen=120),
    )
    [alert] = last(alerts).values()
    assert alert.series == {"service": "ec2", "account": "a2"}
    assert len(alert.findings) == 3
