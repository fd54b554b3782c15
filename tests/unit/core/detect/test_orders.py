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


def test_a_smaller_order_is_told_once_it_is_kept() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*[gpus(300), *[gpus(100)] * 71] * 20, *[gpus(60)] * 12])
    began = stream.now
    (finding,) = spikes(stream.feed(CLUSTER, [gpus(360)] * 12))
    assert finding.opened_at == utc(began)
    assert finding.detected_at > utc(began + 2 * SLOT)


def test_one_that_does_not_last_is_not_told() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*[gpus(300), *[gpus(100)] * 71] * 20, *[gpus(60)] * 12])
    assert spikes(stream.feed(CLUSTER, [*[gpus(360)] * 6, gpus(60), *[gpus(360)] * 6, *[gpus(60)] * 20])) == []


def test_what_leaves_a_cluster_far_below_its_highest_is_not_told() -> None:
    """Each day it gets to 900 by small jobs; then it takes 400 at one stroke."""
    stream = cluster()
    day = [gpus(100 + 20 * max(0, min(40, at // 3, (DAY - 40 - at) // 3))) for at in range(DAY)]
    stream.feed(CLUSTER, day * 5)
    assert spikes(stream.feed(CLUSTER, [gpus(500)] * 12)) == []
    stream.feed(CLUSTER, [gpus(100)] * 40)
    assert len(spikes(stream.feed(CLUSTER, [gpus(900)] * 12))) == 1


def test_jobs_that_begin_within_the_hour_are_one_order() -> None:
    """As an autoscaler that runs away adds them: each ordinary, together five times the largest."""
    stream = cluster()
    stream.feed(CLUSTER, [*[*[gpus(300)] * 3, *[gpus(100)] * 69] * 20, *[gpus(100)] * 12])
    told = spikes(stream.feed(CLUSTER, [gpus(100 + 130 * at) for at in range(9)]))
    assert len(told) == 1


def test_an_order_that_came_and_went_is_not_told_again() -> None:
    stream = cluster()
    stream.feed(CLUSTER, [*jobs(5), *[gpus(100)] * 40])
    again = [*[gpus(1000)] * 6, *[gpus(100)] * 24]
    assert len(spikes(stream.feed(CLUSTER, again))) == 1
    assert spikes(stream.feed(CLUSTER, again)) == []
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


def test_what_was_learnt_of_orders_while_all_gauges_were_one_kind_goes_on() -> None:
    """Written by 7c4d2aa: `jobs` of three days, 40 windows of 100 and five of 1000, whose finding is open."""
    saved = json.loads(Path(__file__).with_name("watch_of_gpus_with_orders.json").read_text(encoding="utf-8"))
    stream, whole = cluster(), cluster()
    stream.watch.restore(saved)
    series = key(cluster="c")
    whole.feed(series, [*jobs(3), *[gpus(100)] * 40, *[gpus(1000)] * 5])
    stream.now = whole.now
    then = [*[gpus(1000)] * 3, *[gpus(100)] * 24, *[gpus(1000)] * 6, *[gpus(100)] * 24, *[gpus(3500)] * 6]
    told = stream.feed(series, then)
    assert told == whole.feed(series, then)
    assert len(spikes(told)) == 1  # the first is over, the same again is ordinary by now, and the larger is told
