"""Clusters: GPUs come and go in orders, and an order larger than any before is told."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.watch import Finding, FindingKind
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.sums import Sums, utc
from tests.support.watching import Stream, bill, gpus, key

CLUSTER = key(cluster="train-1")
SLOT = 300
DAY = 86_400 // SLOT  # windows


def cluster() -> Stream:
    return Stream(meter="gpu_usage", seconds=SLOT)


def jobs(days: int) -> list[Sums]:
    """Every six hours four jobs of 200 GPU-minutes a window begin, fifty minutes after each other, and end together."""
    windows = []
    for at in range(days * DAY):
        since = at % (DAY // 4)
        windows.append(gpus(100 + 200 * min(4, since // 10)))
    return windows


def spikes(told: list[Finding]) -> list[Finding]:
    return [finding for finding in told if finding.kind is FindingKind.SPIKE and finding.revision == 0]


def test_many_times_the_hour_before_is_ordinary_where_jobs_make_it_so() -> None:
    """From 100 to 900 within three hours and back at once, four times a day: no ratio would bear it."""
    stream = cluster()
    stream.feed(CLUSTER, jobs(1))
    assert spikes(stream.feed(CLUSTER, jobs(6))) == []


def test_an_order_four_times_as_large_as_any_is_told_at_once() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*jobs(5), *[gpus(100)] * 40])
    began = stream.now
    (finding,) = spikes(stream.feed(CLUSTER, [gpus(1000)] * 6))
    assert finding.opened_at == utc(began)
    assert finding.detected_at == utc(began + SLOT)


BURSTS = [gpus(300), *[gpus(100)] * 71] * 20
"""Four times a day an order of 200 that is given back at once."""


def test_a_smaller_order_is_told_once_it_is_kept() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*BURSTS, *[gpus(60)] * 50])
    began = stream.now
    (finding,) = spikes(stream.feed(CLUSTER, [gpus(200)] * 30))
    assert finding.opened_at == utc(began)
    assert utc(began + 2 * SLOT) < finding.detected_at <= utc(began + 24 * SLOT)
    assert finding.expected_usd_per_hour == pytest.approx(Decimal(72), rel=Decimal("0.05"))  # what came is not learnt


def test_one_that_does_not_last_is_not_told() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*BURSTS, *[gpus(60)] * 50])
    assert spikes(stream.feed(CLUSTER, [*[gpus(200)] * 4, gpus(60), *[gpus(200)] * 4, *[gpus(60)] * 50])) == []


def orders_by_the_minute(windows: int, level: int) -> list[Sums]:
    """One in two windows an order of 100, given back in the next."""
    return [gpus(level + 100 * (at % 2)) for at in range(windows)]


def test_what_stands_out_at_night_is_nothing_while_orders_come_and_go() -> None:
    """The same order of 400, kept as long."""
    quiet, restless = cluster(), cluster()
    for stream in (quiet, restless):
        stream.feed(CLUSTER, [*orders_by_the_minute(DAY * 4, 100), *[gpus(150)] * 40])
    assert len(spikes(quiet.feed(CLUSTER, [gpus(550)] * 30))) == 1
    restless.feed(CLUSTER, orders_by_the_minute(20, 100))
    assert spikes(restless.feed(CLUSTER, orders_by_the_minute(30, 500))) == []


def test_an_order_that_is_only_the_first_of_more_is_not_told() -> None:
    """As when a team starts its day: less stands out while more keeps coming."""
    stream = cluster()
    stream.feed(CLUSTER, [*BURSTS, *[gpus(60)] * 50])
    assert spikes(stream.feed(CLUSTER, [gpus(min(420, 200 + 60 * (at // 4))) for at in range(30)])) == []


def test_a_few_gpus_say_nothing() -> None:
    """Sixteen GPU-minutes in five are 19 USD an hour: ten times the cluster, and no trouble."""
    stream = cluster()
    small = [gpus(2), *[gpus(1)] * 71]
    stream.feed(CLUSTER, small * 20)
    assert spikes(stream.feed(CLUSTER, [gpus(16)] * 30)) == []
    larger = cluster()
    larger.feed(CLUSTER, [gpus(round(20 * float(window.gpu_minutes))) for window in small * 20])
    assert len(spikes(larger.feed(CLUSTER, [gpus(320)] * 30))) == 1


def test_an_order_that_came_and_went_twice_is_not_told_again() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*jobs(5), *[gpus(100)] * 40])
    again = [*[gpus(1000)] * 6, *[gpus(100)] * 24]
    assert [len(spikes(stream.feed(CLUSTER, again))) for _ in range(4)] == [1, 1, 0, 0]
    assert len(spikes(stream.feed(CLUSTER, [*[gpus(3500)] * 6, *[gpus(100)] * 24]))) == 1


def test_another_order_while_the_first_goes_on_is_another_finding() -> None:
    """800 GPU-minutes a window too many, and some hours later 4,400."""
    stream = cluster()
    stream.feed(CLUSTER, [*jobs(5), *[gpus(100)] * 40])
    stream.feed(CLUSTER, [gpus(900)] * 40)
    began = stream.now
    stream.feed(CLUSTER, [*[gpus(4500)] * 24, *[gpus(100)] * 10])
    first, second = stream.found.values()
    assert (first.status, first.closed_at) == ("closed", utc(began))
    assert (second.status, second.opened_at, second.detected_at) == ("closed", utc(began), utc(began + SLOT))
    assert second.expected_usd_per_hour < 200  # as before both
    # Windows of five minutes at ten cents a GPU-minute.
    assert first.excess_usd == pytest.approx(Decimal(40 * 80), rel=Decimal("0.1"))
    assert second.excess_usd == pytest.approx(Decimal(24 * 440), rel=Decimal("0.02"))


@pytest.mark.parametrize("then", [1500, 910, 3000])
def test_an_order_that_grows_is_one(then: int) -> None:
    """By less than twice, or within its first hour."""
    stream = cluster()
    stream.feed(CLUSTER, [*jobs(5), *[gpus(100)] * 40])
    stream.feed(CLUSTER, [*[gpus(900)] * (5 if then == 3000 else 40), *[gpus(then)] * 24])
    assert len(stream.found) == 1


def test_a_service_that_costs_ten_times_as_much_in_an_incident_is_another_finding() -> None:
    stream = Stream(meter="line_item", seconds=3600)
    service = key(service="glue")
    stream.feed(service, [*[bill(2.2)] * 72, *[bill(4.4)] * 16])
    began = stream.now
    stream.feed(service, [bill(33.0)] * 8)
    first, second = stream.found.values()
    assert (first.closed_at, second.opened_at) == (utc(began), utc(began))


def test_a_cluster_that_was_watched_before_anybody_looked_at_orders_goes_on() -> None:
    """Written by 5f6573d: a cluster after 400 ordinary windows and five of an incident."""
    saved = json.loads(Path(__file__).with_name("watch_of_gpus_before_orders.json").read_text(encoding="utf-8"))
    stream = cluster()
    stream.watch.restore(saved)
    stream.now = saved["lanes"][0]["series"][0]["numbers"][1]
    series = key(cluster="c")
    told = stream.feed(series, [gpus(100)] * 30)
    assert [finding.status for finding in told] == ["closed"]
    # Of its orders little is known yet, and one as large as the cluster has been counts as ordinary.
    stream.feed(series, [gpus(110), *[gpus(100)] * 11] * 5)
    assert spikes(stream.feed(series, [*[gpus(450)] * 12, *[gpus(100)] * 30])) == []
    assert len(spikes(stream.feed(series, [gpus(5000)] * 12))) == 1
    restored = Watch(WatchRules(min_excess_usd=1.0))
    restored.restore(json.loads(json.dumps(stream.watch.snapshot())))
    assert restored.snapshot() == stream.watch.snapshot()


def test_what_was_learnt_of_rises_goes_on() -> None:
    """Written by 7c4d2aa, when all gauges were one kind and looked at rises within an hour: `jobs` of three days, 40
    windows of 100 and five of 1000, whose finding is open."""
    saved = json.loads(Path(__file__).with_name("watch_of_gpus_with_rises.json").read_text(encoding="utf-8"))
    stream = cluster()
    stream.watch.restore(saved)
    stream.now = saved["lanes"][0]["series"][0]["numbers"][1]
    series = key(cluster="c")
    assert [finding.status for finding in stream.feed(series, [gpus(100)] * 24)][-1] == "closed"
    assert spikes(stream.feed(series, [*[gpus(300)] * 6, *[gpus(100)] * 24])) == []
    assert len(spikes(stream.feed(series, [*[gpus(3500)] * 6, *[gpus(100)] * 24]))) == 1
    restored = Watch(WatchRules(min_excess_usd=1.0))
    restored.restore(json.loads(json.dumps(stream.watch.snapshot())))
    assert restored.snapshot() == stream.watch.snapshot()
