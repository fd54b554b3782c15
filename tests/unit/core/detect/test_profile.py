"""The week of hours, and what it says of an hour to come."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.core.detect.profile import WeekProfile

HOUR_OF_MONDAY = 9
MONDAY = 7 * 24 + HOUR_OF_MONDAY


def profile(hours: int, usd: Callable[[int], float]) -> WeekProfile:
    """Of so many hours that begin with a Monday; it looks at the next."""
    week = WeekProfile()
    for hour in range(hours):
        week.put(hour, usd(hour), 1.0)
    week.look(hours)
    return week


class TestUsual:
    def test_a_mondays_is_between_a_weekends_and_the_last_mondays(self) -> None:
        week = profile(MONDAY, lambda hour: 10.0 if hour // 24 % 7 < 5 else 2.0)
        assert 2.0 < week.mid < 10.0
        assert week.usual(MONDAY) == pytest.approx((week.mid + 10.0) / 2)

    def test_a_quiet_hour_a_week_ago_takes_nothing_from_what_the_days_before_say(self) -> None:
        week = profile(MONDAY, lambda hour: 1.0 if hour < 24 else 10.0)
        assert week.usual(MONDAY) == week.mid > 9.0

    def test_before_a_week_was_seen_the_days_before_say_it(self) -> None:
        week = profile(6 * 24, lambda hour: 10.0 if hour < 24 else 2.0)
        assert week.usual(6 * 24) == week.mid
