"""Maintenance as people write it: once, or every week by their own clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams import build
from streams.settings import SettingsError, load
from tests.support.watching import MINUTE, Stream, key, steady, tokens

NIGHT = '{days=["sat"], hours="22:00-04:00", timezone="Europe/Berlin", series={team="research"}}'
RESEARCH = key(team="research", model="m")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("start", "covered"),
    [
        ("2026-11-21T20:59:00", False),  # Saturday, 21:59 in Berlin
        ("2026-11-21T21:00:00", True),
        ("2026-11-22T02:59:00", True),  # the night belongs to the day that it began on
        ("2026-11-22T03:00:00", False),
        ("2026-11-22T21:30:00", False),
        ("2026-07-18T20:00:00", True),  # summer time
    ],
)
def test_a_night_a_week_by_the_clock_of_a_city(start: str, covered: bool) -> None:
    rules = build.watch_rules(load(None, [f"detect.maintenance=[{NIGHT}]"]))
    assert rules.in_maintenance(RESEARCH, at(start), at(start) + 60) is covered
    assert not rules.in_maintenance(key(team="search"), at(start), at(start) + 60)


def test_a_window_of_a_day_that_holds_it_is_in_it() -> None:
    rules = build.watch_rules(load(None, ['detect.maintenance=[{hours="12:00-12:30"}]']))
    assert rules.in_maintenance(RESEARCH, at("2026-11-21T00:00:00"), at("2026-11-22T00:00:00"))
    assert not rules.in_maintenance(RESEARCH, at("2026-11-21T13:00:00"), at("2026-11-21T14:00:00"))


def test_nothing_is_told_in_it() -> None:
    rules = build.watch_rules(load(None, [f"detect.maintenance=[{NIGHT}]", "alerts.min_excess_usd=1"]))
    for start, told in (("2026-11-21T20:00:00", False), ("2026-11-20T20:00:00", True)):
        stream = Stream(rules=rules, now=at(start) - 120 * MINUTE)
        stream.feed(RESEARCH, steady(181))
        assert bool(stream.feed(RESEARCH, [tokens(900)] * 5)) is told


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{}", "needs start and end, or hours or days"),
        ("{start=2026-01-01T00:00:00Z}", "both start and end"),
        ("{start=2026-01-02T00:00:00Z, end=2026-01-01T00:00:00Z}", "end must be after start"),
        ("{start=2026-01-01T00:00:00Z, end=2026-01-02T00:00:00Z, days=['sat']}", "one or the other"),
        ("{start=2026-01-01T00:00:00, end=2026-01-02T00:00:00}", "timezone"),
        ("{hours='22:00-04:00', timezone='Mars'}", "no time zone Mars"),
        ("{hours='22:00-04:00', series={planet='mars'}}", "no such dimension: planet"),
    ],
)
def test_a_mistake_is_named_with_its_place(rule: str, says: str) -> None:
    with pytest.raises(SettingsError, match=rf"detect\.maintenance\.0.*{says}"):
        load(None, [f"detect.maintenance=[{rule}]"])


def test_a_budget_that_nothing_sums_is_a_mistake() -> None:
    with pytest.raises(
        SettingsError, match=r"detect\.budgets\.0: nothing sums by team, feature: add it to roll\.series"
    ):
        load(None, ['detect.budgets=[{series={team="a", feature="b"}, amount=5}]'])
