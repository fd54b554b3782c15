"""What holds for a `Watch` of any meter, as it does for the detectors below it."""

from __future__ import annotations

import json
from decimal import Decimal
from math import isfinite

import pytest

from schemas.records import Meter
from schemas.watch import Finding
from streams.core.windows.sums import SeriesKey, Sums
from tests.support.watching import Stream, gpus, key, steady, tokens

ODD = [Decimal(text) for text in ("0", "-7", "1e40", "1e-12", "-1e40", "3", "1e15")]


def bill(usd: Decimal) -> Sums:
    return Sums(usd=usd, events=1)


Case = tuple[Meter, int, SeriesKey, list[Sums]]
CASES: list[Case] = [
    ("token_call", 10, key(principal="k"), [*steady(150), *[tokens(600)] * 30, *steady(40, seed=2)]),
    ("token_call", 60, key(principal="k"), [*steady(150), *[tokens(600)] * 30, *steady(40, seed=2)]),
    ("gpu_usage", 300, key(cluster="c"), [*[gpus(80)] * 150, *[gpus(400)] * 30, *[gpus(80)] * 40]),
    ("line_item", 3600, key(service="s"), [bill(Decimal(usd)) for usd in [4] * 150 + [40] * 30 + [4] * 40]),
]
every_meter = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")


def stream(case: Case) -> Stream:
    return Stream(meter=case[0], seconds=case[1])


@every_meter
def test_the_incident_is_found_and_found_again_under_the_same_id(case: Case) -> None:
    runs = [stream(case), stream(case)]
    for run in runs:
        run.feed(case[2], case[3])
    first, second = runs
    assert first.found
    assert first.told == second.told
    assert list(first.found) == list(second.found)


@every_meter
@pytest.mark.parametrize("cut", [20, 149, 151, 160, 179, 184])
def test_a_restart_in_the_midst_of_it_changes_nothing(case: Case, cut: int) -> None:
    straight, before, after = stream(case), stream(case), stream(case)
    straight.feed(case[2], case[3])
    before.feed(case[2], case[3][:cut])
    after.watch.restore(json.loads(json.dumps(before.watch.snapshot(), allow_nan=False)))
    after.now = before.now
    after.feed(case[2], case[3][cut:])
    assert [*before.told, *after.told] == straight.told
    assert after.watch.snapshot() == straight.watch.snapshot()


@every_meter
def test_odd_amounts_are_survived(case: Case) -> None:
    run = stream(case)
    odd = [Sums(usd=usd, events=1, requests=2, input_tokens=9, gpu_minutes=Decimal(1)) for usd in ODD]
    run.feed(case[2], [*case[3][:100], *odd * 20, Sums(), *case[3]])
    json.dumps(run.watch.snapshot(), allow_nan=False)
    for finding in run.told:
        assert_finite(finding)


def assert_finite(finding: Finding) -> None:
    assert isfinite(finding.score)
    assert finding.excess_usd.is_finite()
    assert finding.observed_usd_per_hour.is_finite()
    assert finding.projected_usd_24h.is_finite()
    if finding.decomposition is not None:
        split = finding.decomposition
        assert split.volume + split.tokens_per_request + split.unit_price + split.mix == finding.excess_usd
