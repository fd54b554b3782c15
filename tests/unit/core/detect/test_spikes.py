"""What is more than usual: found at once, told once, closed when it is over."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from math import cos, exp, log, pi
from random import Random

import pytest

from schemas.watch import Finding, FindingKind, Severity
from streams.core.alert.rules import LOUDNESS, AlertRules
from streams.core.detect.hours import Hours
from streams.core.detect.rules import Maintenance, WatchRules
from streams.core.detect.watch import Watch
from streams.core.severity import SeverityRules
from streams.core.windows.sums import Sums, utc
from tests.support.watching import MINUTE, START, Stream, bill, key, steady, tokens

KEY = key(principal="key-1")


def test_a_loop_is_found_in_its_first_window() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    began = stream.now
    (finding,) = stream.feed(KEY, [tokens(500)])
    assert (finding.kind, finding.status, finding.series) == (FindingKind.SPIKE, "open", {"principal": "key-1"})
    assert finding.opened_at == utc(began)
    assert finding.detected_at == utc(began + MINUTE)
    assert finding.cause == "volume"
    assert finding.drivers[0].series == {"principal": "key-1"}
    # 500 requests of 0.006 USD, where about 50 are usual.
    assert finding.observed_usd_per_hour == Decimal(180)
    assert 15 < finding.expected_usd_per_hour < 21
    assert finding.excess_usd == pytest.approx(Decimal("2.7"), rel=Decimal("0.05"))
    assert "10.1 times" in finding.explanation or "times the usual" in finding.explanation


def test_ten_second_windows_and_five_minutes_of_history_are_enough() -> None:
    stream = Stream(seconds=10)
    stream.feed(KEY, steady(30, level=20))
    (finding,) = stream.feed(KEY, [tokens(200)])
    assert finding.cadence_seconds == 10


def restless(count: int) -> list[Sums]:
    rng = Random(1)
    return [tokens(max(1, round(rng.gauss(50, 12)))) for _ in range(count)]


def unevenly(requests: int, windows: int) -> list[Sums]:
    """So many in the mean; of many windows, a tenth more in one and a tenth less in the next, as no machine asks."""
    stray = requests // 10 if windows > 3 else 0
    return [tokens(requests + stray * (-1) ** at) for at in range(windows)]


@pytest.mark.parametrize(
    ("requests", "windows", "after"),
    [
        (180, 1, None),  # hardly more than is unusual, and gone
        (200, 1, 1),  # clearly more
        (180, 3, 3),
        (122, 11, None),  # ten windows together are, hardly, and one more
        (122, 12, 12),
    ],
)
def test_what_is_barely_unusual_must_be_so_for_some_windows(requests: int, windows: int, after: int | None) -> None:
    stream = Stream()
    stream.feed(KEY, restless(1600))
    began = stream.now
    told = stream.feed(KEY, [*unevenly(requests, windows), *steady(10)])
    assert {finding.detected_at for finding in told} == ({utc(began + after * MINUTE)} if after else set())


def test_a_restart_forgets_no_window_that_was_barely_unusual() -> None:
    stream = Stream()
    stream.feed(KEY, [*restless(1600), *unevenly(122, 11)])
    state = json.loads(json.dumps(stream.watch.snapshot()))
    stream.watch = Watch(stream.rules)
    stream.watch.restore(state)
    assert stream.feed(KEY, [tokens(122)])


def test_a_series_that_is_warming_up_says_nothing() -> None:
    stream = Stream()
    assert stream.feed(KEY, [*steady(29), tokens(5000)]) == []
    assert stream.watch.series() == {"live": 1, "warming": 0}
    assert Stream().watch.series() == {"live": 0, "warming": 0}


def test_an_incident_has_one_finding_that_grows_and_closes() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [tokens(500)] * 30)
    stream.feed(KEY, steady(10, seed=2))
    (finding,) = stream.found.values()
    assert [told.revision for told in stream.told] == list(range(len(stream.told)))
    excesses = [told.excess_usd for told in stream.told]
    assert excesses == sorted(excesses)
    assert finding.status == "closed"
    assert finding.last_seen_at - finding.opened_at == timedelta(minutes=30)
    assert finding.excess_usd == pytest.approx(Decimal(30) * Decimal("2.7"), rel=Decimal("0.05"))
    assert stream.watch.open_findings() == {}


def test_bursts_of_an_incident_of_requests_are_its_own() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [*[tokens(200)] * 30, *[tokens(5000)] * 30])
    assert len(stream.found) == 1


def test_the_incident_is_not_learnt() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [tokens(500)] * 60)
    stream.feed(KEY, steady(30, seed=2))
    assert stream.feed(KEY, [tokens(500)])[0].status == "open"


def test_what_is_over_is_not_told_again_by_longer_spans() -> None:
    """Ten windows still hold an incident of three when it has been closed for five."""
    stream = Stream()
    stream.feed(KEY, steady(1600))
    stream.feed(KEY, [tokens(2000)] * 3)
    stream.feed(KEY, steady(60, seed=2))
    assert len(stream.found) == 1


def test_an_incident_does_not_blind_the_longer_spans() -> None:
    """1.9 times the usual: too little for one window or three, unmistakable over ten."""
    stream = Stream()
    stream.feed(KEY, steady(1600))
    stream.feed(KEY, [tokens(2000)] * 3)
    stream.feed(KEY, steady(60, seed=2))
    told = stream.feed(KEY, [tokens(90)] * 12)
    assert told
    assert told[0].detected_at - told[0].opened_at > timedelta(minutes=5)


def test_an_incident_does_not_raise_what_is_expected_after_it() -> None:
    stream = Stream()
    stream.feed(KEY, steady(300))
    stream.feed(KEY, [tokens(500)] * 12)
    stream.feed(KEY, steady(12, seed=2))
    (again,) = stream.feed(KEY, [tokens(500)])
    assert 15 < again.expected_usd_per_hour < 21


def test_what_led_up_to_an_incident_is_not_learnt_either() -> None:
    """Windows that were only odd when they came belong to the incident once it opens: the usual is as it was."""
    stream = Stream()
    stream.feed(KEY, [tokens(50)] * 60)
    told = stream.feed(KEY, [tokens(85)] * 30)
    assert told[0].detected_at - told[0].opened_at > timedelta(minutes=1)
    stream.feed(KEY, [tokens(50)] * 12)
    again = stream.feed(KEY, [tokens(500)])
    assert again[0].expected_usd_per_hour == told[0].expected_usd_per_hour == 18


def test_an_unusual_hour_is_learnt_at_half_its_height() -> None:
    """Of the logarithm: nine times the usual is remembered as three, in dollars and in what they bought."""
    hours = Hours()
    hours.add_unusual(90.0, 10.0, 0.5, 60)
    assert (hours.usd, hours.volume) == (30.0, 60.0)
    stream = Stream()
    stream.feed(KEY, [tokens(50)] * 120)
    stream.feed(KEY, [tokens(450)] * 59)
    (state,) = stream.watch.snapshot()["lanes"][0]["series"]
    assert Hours.from_json(state["hours"]).usd == pytest.approx(59 * 0.9, rel=0.02)


def test_the_same_morning_is_less_of_a_surprise_every_day() -> None:
    """A job of three hours that starts to run every day: told the first days, not for ever."""
    stream = Stream()
    day = [tokens(400 if 600 <= minute < 780 else 50) for minute in range(1440)]
    told = [{finding.finding_id for finding in stream.feed(KEY, day)} for _ in range(6)]
    assert told[0]
    assert not told[-1]


def test_dearer_requests_that_come_to_no_more_than_usual_are_no_trouble() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    assert stream.feed(KEY, [tokens(8, fresh=5000, answer=1000)] * 10) == []


def test_a_level_that_lasts_becomes_the_normal_one() -> None:
    stream = Stream(rules=WatchRules(min_excess_usd=1.0, adopt_seconds=3 * 3600))
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [tokens(300)] * 240)
    (finding,) = stream.found.values()
    assert finding.status == "closed"
    assert finding.closed_at == finding.opened_at + timedelta(hours=3)


def test_bursts_that_a_series_is_known_for_are_no_news() -> None:
    stream = Stream()
    habit = [tokens(400) if minute % 20 == 0 else tokens(20) for minute in range(600)]
    stream.feed(KEY, habit)
    assert stream.feed(KEY, habit) == []


def test_a_series_that_rests_at_zero_sees_no_miracles() -> None:
    stream = Stream()
    sparse = [tokens(3) if minute % 45 == 0 else tokens(0) for minute in range(3000)]
    assert stream.feed(KEY, sparse) == []


def test_a_small_excess_is_not_worth_a_word() -> None:
    stream = Stream(rules=WatchRules(min_excess_usd=100_000.0))
    stream.feed(KEY, steady(120))
    assert stream.feed(KEY, [tokens(500)]) == []


def test_severity_is_by_dollars() -> None:
    """2.7 USD in the first minute: some 3,900 in the next 24 hours. The alert of it says the same."""

    def worst(warning: int, critical: int) -> Severity:
        rules = SeverityRules(warning_usd_per_day=Decimal(warning), critical_usd_per_day=Decimal(critical))
        stream = Stream(rules=WatchRules(min_excess_usd=1.0, severity=rules))
        stream.feed(KEY, [*steady(120), tokens(500)])
        same = AlertRules(Decimal(1), warning_usd_per_day=Decimal(warning), critical_usd_per_day=Decimal(critical))
        assert same.severity(stream.told[0]) is stream.told[0].severity
        return stream.told[0].severity

    assert (worst(100, 3000), worst(3000, 5000), worst(5000, 6000)) == tuple(reversed(LOUDNESS))


@pytest.mark.parametrize(("factor", "found"), [(1.0, True), (0.1, False)])
def test_a_series_can_be_made_less_touchy(factor: float, found: bool) -> None:
    stream = Stream(rules=WatchRules(min_excess_usd=1.0, sensitivity=((KEY, factor),)))
    stream.feed(KEY, steady(120))
    assert bool(stream.feed(KEY, [tokens(500)])) is found


def test_maintenance_tells_nothing_and_learns_nothing() -> None:
    stretch = Maintenance(START + 120 * MINUTE, START + 150 * MINUTE, KEY)
    stream = Stream(rules=WatchRules(min_excess_usd=1.0, maintenance=(stretch,)))
    stream.feed(KEY, steady(120))
    assert stream.feed(KEY, [tokens(500)] * 30) == []
    assert stream.feed(KEY, [tokens(500)])[0].kind is FindingKind.SPIKE


def test_a_false_positive_is_not_told_again() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [tokens(500)] * 3)
    stream.watch.feedback("token_call", KEY, FindingKind.SPIKE, "false_positive")
    (closed,) = stream.feed(KEY, steady(1))
    assert closed.status == "closed"
    stream.feed(KEY, steady(60, seed=3))
    assert stream.feed(KEY, [tokens(500)]) == []


def test_what_is_expected_becomes_the_usual() -> None:
    stream = Stream()
    stream.feed(KEY, steady(120))
    stream.feed(KEY, [tokens(500)] * 12)
    stream.watch.feedback("token_call", KEY, FindingKind.SPIKE, "expected")
    stream.feed(KEY, [tokens(500)])
    told = len(stream.told)
    stream.feed(KEY, [tokens(500)] * 60)
    assert stream.told[told:] == []


def test_what_one_key_does_is_not_told_by_everyone_it_is_part_of() -> None:
    """The team's series sees the same excess; the key's own says it."""
    team = key(team="search")
    one, other = key(team="search", principal="key-1"), key(team="search", principal="key-2")
    stream = Stream()
    calm = [{one: a, other: b} for a, b in zip(steady(120), steady(120, seed=2), strict=True)]
    stream.feed_all({KEY: [row[one] for row in calm], team: calm})
    loop = {one: tokens(900), other: tokens(50)}
    assert [finding.series for finding in stream.feed_all({KEY: [loop[one]], team: [loop]})] == [{"principal": "key-1"}]
    both = {one: tokens(900), other: tokens(900)}
    stream = Stream()
    stream.feed(team, calm)
    assert [finding.series for finding in stream.feed(team, [both])] == [{"team": "search"}]


def test_a_restored_watch_continues_bit_for_bit() -> None:
    """At every age: while warming, live, under suspicion, with a finding open."""
    history = [*steady(150), *[tokens(120)] * 2, *[tokens(500)] * 20, *steady(80, seed=5), *[tokens(0)] * 40]
    straight = Stream()
    straight.feed(KEY, history)
    for cut in (3, 140, 151, 160, 240, 285):
        first, second = Stream(), Stream()
        first.feed(KEY, history[:cut])
        state = first.watch.snapshot()
        second.watch.restore(json.loads(json.dumps(state, allow_nan=False)))
        assert second.watch.snapshot() == state
        second.now = first.now
        second.feed(KEY, history[cut:])
        assert [*first.told, *second.told] == straight.told
        assert second.watch.snapshot() == straight.watch.snapshot()


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 99"):
        Watch(WatchRules()).restore({"version": 99})


def test_negative_corrections_and_huge_sums_are_survived() -> None:
    stream = Stream(meter="line_item", seconds=3600)
    odd = [Sums(usd=Decimal(amount), events=1) for amount in ("-5", "1e40", "0", "0.000000000001", "-1e40")]
    stream.feed(KEY, [Sums(usd=Decimal(1), events=1)] * 60 + odd * 30)
    json.dumps(stream.watch.snapshot(), allow_nan=False)


def test_a_key_too_young_to_be_judged_that_goes_into_a_loop_is_told_by_its_team() -> None:
    """Its own series is warming up and tells nothing: the team's must not leave it to that one."""
    stream, team = Stream(), key(team="search")
    old = {key(principal=f"key-{n}"): steady(100, seed=n) for n in range(4)}

    def feed(young: list[Sums]) -> list[Finding]:
        rows = [
            {name: old[name][at % 100] for name in old} | {key(principal="new"): one} for at, one in enumerate(young)
        ]
        return stream.feed_all(
            {team: rows, key(principal="new"): young, **{name: old[name][: len(young)] for name in old}}
        )

    stream.feed_all({team: [{name: old[name][at] for name in old} for at in range(100)], **old})
    assert not feed([tokens(3)] * 12)
    told = feed([tokens(2000)] * 5)
    assert {"team": "search"} in [finding.series for finding in told]


def test_what_a_grown_key_does_is_left_to_its_own_series() -> None:
    stream, team = Stream(), key(team="search")
    keys = {key(principal=f"key-{n}"): steady(100, seed=n) for n in range(4)}
    stream.feed_all({team: [{name: keys[name][at] for name in keys} for at in range(100)], **keys})
    loop = {name: [tokens(2000)] * 5 if name == key(principal="key-0") else keys[name][:5] for name in keys}
    told = stream.feed_all({team: [{name: loop[name][at] for name in keys} for at in range(5)], **loop})
    assert {finding.series.get("principal") for finding in told} == {"key-0"}


def test_what_the_only_key_does_is_left_to_its_own_series() -> None:
    stream, team, only = Stream(), key(team="search"), key(team="search", principal="key-1")
    calm, loop = steady(120), [tokens(2000)] * 5
    stream.feed_all({KEY: calm, team: [{only: sums} for sums in calm]})
    told = stream.feed_all({KEY: loop, team: [{only: sums} for sums in loop]})
    assert [finding.series for finding in told if finding.revision == 0] == [{"principal": "key-1"}]


def leaps(rng: Random, count: int) -> list[Sums]:
    """A key that goes to another level every few hours, between one and sixty requests a minute."""
    out = []
    for _ in range(count):
        level = exp(rng.uniform(0, log(60)))
        out += [tokens(max(1, round(rng.gauss(level, level / 10)))) for _ in range(rng.randint(100, 240))]
    return out


def test_what_is_far_beyond_anything_before_is_told_of_a_series_that_leaps_every_day() -> None:
    stream, rng = Stream(), Random(5)
    stream.feed(KEY, leaps(rng, 40))
    assert stream.feed(KEY, leaps(rng, 10)) == []
    stream.feed(KEY, [tokens(55)] * 60)
    assert stream.feed(KEY, [tokens(200)] * 10)


def test_a_false_positive_of_a_series_that_leaps_is_not_told_again() -> None:
    stream, rng = Stream(), Random(5)
    stream.feed(KEY, leaps(rng, 50))
    for again in (False, True):
        stream.feed(KEY, [tokens(55)] * 60)
        told = stream.feed(KEY, [tokens(200)] * 10)
        assert bool(told) is not again
        stream.watch.feedback("token_call", KEY, FindingKind.SPIKE, "false_positive")


@pytest.mark.parametrize(("usd", "told"), [(5.5, False), (7.5, True)])
def test_one_hour_of_a_bill_that_is_clearly_beyond_all_before_is_enough(usd: float, told: bool) -> None:
    """Of a bill that often falls to a quarter, 2.2 times the usual would be asked for."""
    stream = Stream(meter="line_item", seconds=3600)
    service = key(service="glue")
    stream.feed(service, [bill(4.4 if hour % 7 else 1.1) for hour in range(6 * 24)])
    assert bool(stream.feed(service, [bill(usd)])) is told


@pytest.mark.parametrize(("cached", "told"), [(120, False), (0, True)])
def test_one_window_of_a_price_that_is_clearly_beyond_all_before_is_enough(cached: int, told: bool) -> None:
    """Of input of which 200 tokens in 1,000 came from a cache, give or take a few."""
    stream, rng = Stream(), Random(3)
    for _ in range(1600):
        hit = round(rng.gauss(200, 10))
        stream.feed(KEY, [tokens(50, fresh=1000 - hit, cached=hit)])
    found = stream.feed(KEY, [tokens(50, fresh=1000 - cached, cached=cached)])
    assert bool(found) is told
    assert all(finding.cause == "unit_price" for finding in found)


def tide(seed: int, *, least: int = 6, night: int = 0) -> list[Sums]:
    """A day of requests that swell to sixty a minute by noon, with half an hour at `night` after midnight."""
    rng = Random(seed)
    levels = [least * (60 / least) ** (0.5 - 0.5 * cos(2 * pi * minute / 1440)) for minute in range(1440)]
    out = [tokens(max(1, round(rng.gauss(1, 0.1) * level))) for level in levels]
    return [*out[:30], *[tokens(round(rng.gauss(1, 0.1) * night)) for _ in range(30)], *out[60:]] if night else out


def test_what_a_series_comes_to_every_noon_is_not_told_at_night() -> None:
    stream = Stream()
    for seed in range(4):
        stream.feed(KEY, tide(seed))
    assert stream.feed(KEY, tide(4, night=40)) == []
    assert stream.feed(KEY, tide(5, night=120))


def test_an_incident_that_began_in_a_lull_is_over_when_the_spend_is_ordinary_for_the_hour() -> None:
    stream = Stream()
    for seed in range(4):
        stream.feed(KEY, tide(seed))
    noon = tide(4)[660:]
    stream.feed(KEY, [*tide(4)[:540], *steady(120, level=4), *[tokens(600)] * 20])
    told = stream.feed(KEY, noon[20:40])
    assert told[-1].status == "closed"
    assert stream.watch.open_findings() == {}


def test_what_a_series_comes_to_every_noon_is_told_at_night_where_the_night_is_another_world() -> None:
    """Forty a minute is half as much again for six at night, and twenty times the usual for two."""
    stream = Stream()
    for seed in range(4):
        stream.feed(KEY, tide(seed, least=2))
    assert stream.feed(KEY, tide(4, least=2, night=40))


@pytest.mark.parametrize(("back", "told"), [(120, False), (400, True)])
def test_what_was_usual_this_morning_is_no_spike_after_a_lull(back: int, told: bool) -> None:
    """On a day that is busier than those before, so that only the last hours know of it."""
    stream, rng = Stream(), Random(0)
    stream.feed(KEY, steady(3 * 1440))
    stream.feed(KEY, [tokens(round(rng.gauss(1, 0.1) * 50 * 2.2 ** (minute / 480))) for minute in range(480)])
    stream.feed(KEY, steady(60, seed=2, level=4))
    after = stream.feed(KEY, steady(30, seed=3, level=back))
    assert (FindingKind.SPIKE in {finding.kind for finding in after}) is told


def test_a_job_that_runs_twice_at_the_same_hour_is_told_no_third_time() -> None:
    stream, job = Stream(), [tokens(600)] * 20
    quiet = [steady(24 * 60 - 20, seed=day) for day in range(9)]
    stream.feed(KEY, quiet[0])
    told = [bool(stream.feed(KEY, [*job, *day])) for day in quiet[1:4]]
    assert told == [True, True, False]
    assert stream.feed(KEY, [tokens(3000)] * 20)


def test_bursts_that_come_three_times_within_a_week_are_told_no_fourth_time() -> None:
    stream, burst = Stream(), [tokens(600)] * 20
    stream.feed(KEY, steady(24 * 60))
    told = [bool(stream.feed(KEY, [*burst, *steady(17 * 60, seed=n)])) for n in range(4)]
    assert told == [True, True, True, False]
    assert stream.feed(KEY, [tokens(3000)] * 20)


def test_one_incident_with_a_pause_in_it_is_no_habit() -> None:
    stream = Stream()
    stream.feed(KEY, steady(24 * 60))
    for n in range(4):
        stream.feed(KEY, [*[tokens(600)] * 10, *steady(40, seed=n)])
    stream.feed(KEY, steady(600))
    assert stream.feed(KEY, [tokens(600)] * 20)
