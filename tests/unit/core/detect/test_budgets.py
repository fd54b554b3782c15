"""Monthly allowances: thresholds, burn, and the day they are used up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from schemas.watch import Finding, FindingKind, Severity
from streams.core.detect.budgets import BudgetWatch
from streams.core.detect.rules import Budget, WatchRules
from streams.core.windows.sums import Sums, Window
from tests.support.watching import Stream, key, tokens

TEAM = key(team="search")
NOVEMBER = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
HOUR, DAY = 3600, 86_400
BUDGET = Budget(TEAM, Decimal(7200))  # 10 USD an hour just last the 720 hours of November


def spend(watch: BudgetWatch, hours: range, usd: str) -> list[Finding]:
    told = []
    for hour in hours:
        sums = Sums(usd=Decimal(usd), events=1, input_tokens=1_000_000)
        told += watch.window(Window("token_call", TEAM, NOVEMBER + hour * HOUR, HOUR, sums))
    return told


def test_a_pace_that_lasts_says_nothing() -> None:
    assert spend(BudgetWatch(BUDGET), range(500), "10") == []


def test_thresholds_are_told_once_each() -> None:
    told = spend(BudgetWatch(BUDGET), range(720), "11")
    assert [(finding.severity, finding.status) for finding in told] == [
        (Severity.WARNING, "open"),
        (Severity.CRITICAL, "open"),
    ]
    assert told[0].kind is FindingKind.BUDGET_BURN
    assert told[0].finding_id == told[1].finding_id
    # 80 % of 7,200 are 5,760 USD: reached in hour 524 at 11 USD an hour.
    assert told[0].detected_at.timestamp() == NOVEMBER + 524 * HOUR
    assert "80% of its 7,200 USD of November 2026" in told[0].explanation


def test_a_fast_burn_is_told_early_with_the_day_it_ends() -> None:
    watch = BudgetWatch(BUDGET)
    spend(watch, range(100), "10")
    (finding,) = spend(watch, range(100, 110), "60")
    # 6,200 USD are left after 100 hours; the mean of six hours is twice the even pace after the second of 60 USD.
    assert finding.detected_at.timestamp() <= NOVEMBER + 103 * HOUR
    assert "gone on" in finding.explanation


def test_a_burst_of_an_hour_is_no_burn() -> None:
    watch = BudgetWatch(BUDGET)
    spend(watch, range(100), "5")
    assert spend(watch, range(100, 101), "60") == []
    assert spend(watch, range(101, 140), "5") == []


def test_a_new_month_begins_anew_and_closes_the_old_finding() -> None:
    watch = BudgetWatch(BUDGET)
    spend(watch, range(720), "11")
    assert watch.is_open
    (closed,) = spend(watch, range(720, 721), "1")
    assert (closed.status, closed.closed_at) == ("closed", datetime(2026, 12, 1, tzinfo=UTC))
    assert not watch.is_open


def test_tokens_can_be_allowed_too() -> None:
    watch = BudgetWatch(Budget(TEAM, Decimal(100_000_000), unit="tokens"))
    told = spend(watch, range(90), "0")
    assert "of its 100,000,000 tokens" in told[0].explanation
    assert told[0].excess_usd == 0


def test_a_bill_is_not_counted_on_top_of_the_usage_it_bills() -> None:
    watch = BudgetWatch(BUDGET)
    window = Window("line_item", TEAM, NOVEMBER, DAY, Sums(usd=Decimal(9999), events=1))
    assert watch.window(window) == []


def test_a_restored_budget_goes_on_where_it_was() -> None:
    straight, first, second = BudgetWatch(BUDGET), BudgetWatch(BUDGET), BudgetWatch(BUDGET)
    spend(first, range(400), "11")
    second.load(json.loads(json.dumps(first.to_json())))
    assert second.to_json() == first.to_json()
    expected = spend(straight, range(720), "11")
    assert spend(second, range(400, 720), "11") == expected


def test_a_watch_counts_its_budgets() -> None:
    stream = Stream(rules=WatchRules(budgets=(Budget(TEAM, Decimal("0.01")),)))
    (finding,) = stream.feed(TEAM, [tokens(10)])
    assert finding.kind is FindingKind.BUDGET_BURN
    assert stream.watch.open_findings() == {"budget_burn": 1}
