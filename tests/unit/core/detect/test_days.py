"""Daily bills: the weekday and the date are learnt, and what is unusual on them is still told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.watch import Finding, FindingKind
from streams.core.detect.days import KEPT, Days
from streams.core.detect.merge import Complete
from streams.core.detect.rules import DAY, WatchRules
from streams.core.detect.watch import Watch
from streams.core.windows.sums import SeriesKey, Sums, Window
from tests.support.watching import bill, key

FIRST = date(2026, 1, 1)
MONTHS = 180  # days: January to June
SERVICE = key(service="Storage")
Shape = Callable[[date], float]


def workdays(day: date) -> float:
    return 100.0 if day.weekday() < 5 else 20.0


def month_end(day: date) -> float:
    return 600.0 if (day + timedelta(days=1)).day == 1 else 0.0


def first_of_month(day: date) -> float:
    return 600.0 if day.day == 1 else 0.0


def last_working_day(day: date) -> float:
    ahead = (day + timedelta(days=step) for step in range(1, 4))
    rest = [one for one in ahead if one.month == day.month and one.weekday() < 5]
    return 600.0 if day.weekday() < 5 and not rest else 0.0


def history(shape: Shape, days: int = MONTHS, noise: float = 0.05, seed: int = 1) -> Iterator[tuple[date, float]]:
    rng = Random(seed)
    for at in range(days):
        day = FIRST + timedelta(days=at)
        yield day, shape(day) * rng.lognormvariate(0.0, noise)


def told(bills: Iterator[tuple[date, float]], watch: Watch | None = None) -> list[Finding]:
    """What a watch says of a bill by the day; the newest state of each finding."""
    watch = watch or Watch(WatchRules(min_excess_usd=5.0))
    found: dict[str, Finding] = {}
    for day, usd in bills:
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        window = Window("line_item", SERVICE, start, DAY, bill(usd))
        for finding in watch.window(Complete("line_item", DAY, start, {SERVICE: window} if usd else {})):
            found[finding.finding_id] = finding
    return list(found.values())


CHARGES = [month_end, first_of_month, last_working_day]


@pytest.mark.parametrize("seed", range(5))
def test_weekends_and_mondays_are_no_news(seed: int) -> None:
    assert told(history(workdays, seed=seed)) == []


@pytest.mark.parametrize("charge", CHARGES)
@pytest.mark.parametrize("seed", range(3))
def test_a_charge_of_every_month_is_told_once_at_most_in_the_months_that_teach_it(charge: Shape, seed: int) -> None:
    found = told(history(lambda day: workdays(day) + charge(day), seed=seed))
    assert [finding.opened_at.date() for finding in found if finding.opened_at.date() >= date(2026, 3, 2)] == []


@pytest.mark.parametrize("charge", CHARGES)
@pytest.mark.parametrize("times", [4, 8])
def test_a_real_spike_on_such_a_day_is_told(charge: Shape, times: float) -> None:
    struck = next(day for day in (date(2026, 5, 1) + timedelta(days=n) for n in range(31)) if charge(day))

    def shape(day: date) -> float:
        return (workdays(day) + charge(day)) * (times if day == struck else 1.0)

    (finding,) = [one for one in told(history(shape)) if one.opened_at.date() >= date(2026, 3, 2)]
    usual = workdays(struck) + charge(struck)
    assert (finding.kind, finding.opened_at.date()) == (FindingKind.SPIKE, struck)
    assert float(finding.excess_usd) == pytest.approx(usual * (times - 1), rel=0.35)  # beyond the charge, not all of it
    assert finding.status == "closed"


def test_the_charge_on_another_day_is_told() -> None:
    struck = date(2026, 5, 13)
    found = told(history(lambda day: workdays(day) + first_of_month(day) + (600.0 if day == struck else 0.0)))
    assert [one.opened_at.date() for one in found if one.opened_at.date() >= date(2026, 3, 2)] == [struck]


def test_a_weekend_as_dear_as_a_weekday_is_told() -> None:
    saturday = date(2026, 5, 16)
    found = told(history(lambda day: 100.0 if day == saturday else workdays(day)))
    assert [one.opened_at.date() for one in found] == [saturday]


def test_a_level_that_stays_is_told_once_and_adopted() -> None:
    since = date(2026, 4, 7)
    found = told(history(lambda day: workdays(day) * (4.0 if day >= since else 1.0)))
    assert [one.opened_at.date() for one in found] == [since]
    closed_at = found[0].closed_at
    assert closed_at is not None
    assert closed_at - found[0].opened_at >= timedelta(days=10)


def test_a_service_that_charges_once_a_month_is_not_new_each_time() -> None:
    others = key(service="Compute")
    watch = Watch(WatchRules(min_excess_usd=5.0))
    news = []
    for day, usd in history(first_of_month):
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        spent: dict[SeriesKey, Sums] = {others: bill(100.0)} | ({SERVICE: bill(usd)} if usd else {})
        windows = {of: Window("line_item", of, start, DAY, sums) for of, sums in spent.items()}
        news += [
            f for f in watch.window(Complete("line_item", DAY, start, windows)) if f.kind is FindingKind.NEW_SERIES
        ]
    assert news == []  # it was there on the first day, and is remembered from month to month


def test_a_snapshot_goes_on_as_if_nothing_had_been() -> None:
    def shape(day: date) -> float:
        return (workdays(day) + month_end(day)) * (6.0 if day == date(2026, 5, 6) else 1.0)

    bills = list(history(shape))
    whole, first, second = (Watch(WatchRules(min_excess_usd=5.0)) for _ in range(3))
    early = told(iter(bills[:100]), first)
    second.restore(first.snapshot())
    assert early + told(iter(bills[100:]), second) == told(iter(bills), whole)


def test_history_teaches_a_new_deployment() -> None:
    """As `spendstream warm` does it: what is found in the history is told to nobody."""
    bills = list(history(lambda day: workdays(day) + month_end(day), days=120))
    watch = Watch(WatchRules(min_excess_usd=5.0))
    told(iter(bills[:110]), watch)
    watch.settle()
    live = int(datetime(2026, 4, 21, tzinfo=UTC).timestamp())
    watch.resume("line_item", DAY, live)
    assert told(iter(bills[110:]), watch) == []


@settings(deadline=None)  # a busy machine is no fault
@given(
    usd=st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=2 * KEPT),
    skipped=st.integers(0, 300),
    day=st.integers(0, 40_000),
)
def test_whatever_was_seen_the_weight_is_sane_and_the_state_restores(usd: list[float], skipped: int, day: int) -> None:
    days = Days()
    for at, spent in enumerate(usd):
        days.look(day + at, spent)
        days.put(day + at, spent)
    days.look(day + len(usd) + skipped, usd[0])
    assert days.weight > 0.0
    restored = Days.from_json(days.to_json())
    restored.look(day + len(usd) + skipped, usd[0])
    assert restored.to_json() == days.to_json()
