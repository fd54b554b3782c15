"""A warmed deployment knows its mornings: it finds what a cold one can't, and keeps quiet at what is usual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from schemas.records import Charge, PriceStatus
from schemas.topics import CHARGES
from schemas.watch import Finding
from streams.core.columns.block import Block
from streams.core.detect.merge import Merger
from streams.core.detect.rules import Budget
from streams.core.detect.warm import History
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.roll import Roller, RollRules
from streams.core.windows.ticks import Origin, Ticks, Watermark
from streams.core.windows.ticks_json import Writer, from_json
from streams.stages.detect import DetectState
from streams.stages.roll import series_partition
from tests.support.records import batch
from tests.support.watching import key

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)  # the live one
SERIES = ((), ("principal",), ("team",))
ROLL = RollRules(
    windows={"token_call": 60, "gpu_usage": 60},
    graces={"token_call": 0.0, "gpu_usage": 0.0, "line_item": 0.0},
    series=SERIES,
)
RULES = WatchRules(min_excess_usd=1.0, cadence=(((), 60),))
PARTITIONS = 3
LIVE, ORIGIN = Origin("usage.token-calls", 0), Origin(CHARGES.name, 0)


def charge(at: datetime, requests: int, principal: str, number: int) -> Charge:
    """A minute's bucket of calls at 1 cent each."""
    usd = Decimal(requests) / 100
    return Charge.model_construct(
        source="/gateway", id=f"{principal}-{number}", type="spendstream.token_call.v1", time=at, received_at=at,
        period_start=at, period_end=at, provider="openai", model="gpt-5", service="", account="", region="",
        team="search", project="",
        environment="", feature="", principal=principal, cluster="", accelerator="", capacity_type="",
        requests=requests, input_tokens=1000 * requests, output_tokens=100 * requests, cache_read_input_tokens=0,
        gpu_minutes=None, utilization=None, price_status=PriceStatus.PRICED, effective_cost_usd=usd, list_cost=usd,
        unit_prices={}, allocation="tags", part=0, parts=1,
    )  # fmt: skip


def usual(at: datetime, rng: Random) -> int:
    """Requests a minute: five times as many on weekday mornings, from the stroke of nine."""
    peak = 40 if at.weekday() < 5 and 9 <= at.hour < 11 else 0
    return max(1, round(rng.gauss(10 + peak, 2)))


def minutes(start: datetime, end: datetime, seed: int = 1, times: float = 1.0) -> Iterator[list[Charge]]:
    rng = Random(seed)
    for number in range(int((end - start).total_seconds() // 60)):
        at = start + timedelta(minutes=number, seconds=59)
        yield [charge(at, round(usual(at, rng) * times), f"key-{n}", int(at.timestamp())) for n in range(3)]


def warmed(start: datetime, end: datetime, rules: WatchRules = RULES) -> History:
    history = History(ROLL, rules, max_cells=24, partitions=PARTITIONS, partition_of=series_partition)
    for charges in minutes(start, end):
        history.add(Block.of(charges, [0] * len(charges)), 1)
    return history


def live(
    states: Sequence[dict[str, Any] | None], charges: Iterator[list[Charge]], rules: WatchRules = RULES
) -> list[Finding]:
    """What the stage `detect` finds on from these states, each partition by itself."""
    roller = Roller(ROLL)
    said = [one for number, row in enumerate(charges) for one in roller.add(_record(number, row))]
    return [finding for partition, state in enumerate(states) for finding in _partition(partition, state, said, rules)]


def _record(number: int, charges: list[Charge]) -> Any:
    return batch(*charges, topic=LIVE.topic, offset=number)


def _partition(partition: int, state: dict[str, Any] | None, said: Sequence[Any], rules: WatchRules) -> list[Finding]:
    merger, watch, pending = Merger(), Watch(rules), set()
    if state is not None:
        merger.restore(state["merger"])
        watch.restore(state["watch"])
        pending = {tuple(pace) for pace in state["warmed"]}
    detect = DetectState(partition, merger, watch, pending, {})
    merger.expect("token_call", 60, ORIGIN)
    out: list[Finding] = []
    writer = Writer(lambda series: series_partition(series, PARTITIONS))
    for one in said:
        if isinstance(one, Ticks):
            for place, value in writer.records(one):
                told = from_json(value) if place == partition else ()
                for ticks in () if isinstance(told, Watermark) else told:
                    merger.ticks(ticks)
            continue
        for complete in merger.watermark(one):
            out += detect.window(complete)
    return out


COLD: tuple[None, ...] = (None,) * PARTITIONS


@pytest.fixture(scope="module")
def learnt() -> list[dict[str, Any]]:
    """Two weeks that end on Sunday evening."""
    return warmed(MONDAY - timedelta(days=14), MONDAY - timedelta(hours=4)).states()


def test_it_finds_an_incident_in_its_first_hour_and_a_cold_one_does_not(learnt: list[dict[str, Any]]) -> None:
    start = MONDAY + timedelta(hours=2)

    def loop() -> Iterator[list[Charge]]:
        yield from minutes(start, start + timedelta(minutes=15), seed=5)
        yield from minutes(start + timedelta(minutes=15), start + timedelta(minutes=45), seed=6, times=8.0)

    found = live(learnt, loop())
    assert {finding.kind.value for finding in found} == {"spike"}
    assert min(finding.detected_at for finding in found) <= start + timedelta(minutes=20)
    assert not live(COLD, loop())


def test_a_monday_morning_is_no_incident_to_it(learnt: list[dict[str, Any]]) -> None:
    morning = minutes(MONDAY + timedelta(hours=2), MONDAY + timedelta(hours=14), seed=7)
    assert not live(learnt, morning)


def test_a_cold_start_before_a_monday_morning_pages() -> None:
    """Or the test above would show nothing."""
    morning = minutes(MONDAY - timedelta(hours=20), MONDAY + timedelta(hours=14), seed=7)
    assert live(COLD, morning)


@pytest.mark.parametrize("gap", [timedelta(0), timedelta(hours=9), timedelta(days=3), timedelta(days=24)])
def test_the_time_between_the_history_and_the_first_live_window_is_no_silence(
    learnt: list[dict[str, Any]], gap: timedelta
) -> None:
    start = MONDAY - timedelta(hours=4) + gap
    assert not live(learnt, minutes(start, start + timedelta(hours=6), seed=8))


def test_what_kafka_still_holds_of_the_history_is_not_learnt_twice(learnt: list[dict[str, Any]]) -> None:
    start = MONDAY - timedelta(hours=4)
    overlapping = live(learnt, minutes(start - timedelta(hours=12), start + timedelta(hours=2), seed=1))
    assert overlapping == live(learnt, minutes(start - timedelta(minutes=1), start + timedelta(hours=2), seed=1)) == []


def test_what_was_found_in_the_history_is_not_told() -> None:
    start = MONDAY - timedelta(days=2)
    history = warmed(start, MONDAY)
    for charges in minutes(MONDAY, MONDAY + timedelta(minutes=30), seed=3, times=20.0):
        history.add(Block.of(charges, [0] * len(charges)), 1)
    assert history.found["spike"] >= 1
    after = MONDAY + timedelta(minutes=30)
    assert not live(history.states(), minutes(after, after + timedelta(hours=1), seed=4)), "nor that it is over"


def test_a_budget_goes_on_from_what_the_month_has_used() -> None:
    budget = Budget(key(team="search"), Decimal(1500), thresholds=(1.0,))
    rules = WatchRules(min_excess_usd=1.0, cadence=(((), 60),), budgets=(budget,))
    first, third = MONDAY.replace(day=1), MONDAY.replace(day=3)
    states = warmed(first, third, rules).states()  # a weekend and a day: some 1,000 USD
    month = third.replace(day=4)
    told = [f for f in live(states, minutes(third, month, seed=2), rules) if f.kind == "budget_burn"]
    assert max(finding.score for finding in told) >= 1.0, "the score of a budget is the share that is gone"
    cold = [f for f in live(COLD, minutes(third, month, seed=2), rules) if f.kind == "budget_burn"]
    assert all(finding.score < 1.0 for finding in cold)


def test_an_incomplete_window_is_left_to_the_live_stages() -> None:
    history = warmed(MONDAY - timedelta(hours=1), MONDAY)
    history.add(Block.of([charge(MONDAY + timedelta(seconds=10), 5, "key-0", 0)], [0]), 1)
    assert history.until() == {("token_call", 60): int(MONDAY.timestamp())}
    assert history.late == 0
