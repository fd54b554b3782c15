"""The rules for comparison do what their names say."""

from __future__ import annotations

from streams.core.detect.detectors import State
from streams.core.detect.detectors.rules import DAY, StaticThreshold, TimesTrailingMean


def test_a_limit_is_a_limit() -> None:
    detector = StaticThreshold(limit=10.0, warm_up=0)
    verdicts = [detector.update(i * 3600.0, value) for i, value in enumerate((9.0, 10.0, 10.5, 40.0))]
    assert [v.state is State.ANOMALOUS for v in verdicts] == [False, False, True, True]
    assert [v.alert for v in verdicts] == [False, False, True, False]
    assert [v.score for v in verdicts] == [0.9, 1.0, 1.05, 4.0]


def test_daily_sums_alert_over_three_times_the_seven_days_before() -> None:
    detector = TimesTrailingMean(per_day=1)
    days = [10.0] * 7 + [30.0, 10.0, 40.0]  # the mean is 10, then (6 * 10 + 30) / 7 = 12.9 for two days
    verdicts = [detector.update(i * DAY, value) for i, value in enumerate(days)]
    assert [v.state for v in verdicts] == [State.WARMING] * 7 + [State.NORMAL] * 2 + [State.ANOMALOUS]
    assert verdicts[7].score == 1.0
    assert verdicts[9].alert


def test_by_the_hour_it_speaks_before_midnight() -> None:
    detector = TimesTrailingMean()
    for hour in range(8 * 24):
        detector.update(hour * 3600.0, 1.0)
    verdicts = [detector.update((8 * 24 + hour) * 3600.0, 10.0) for hour in range(8)]
    # A day of 24 x 1 becomes 23 + 10, 22 + 20, ...: over 72 with the sixth hour, 18 + 60.
    assert [v.alert for v in verdicts] == [False] * 5 + [True] + [False] * 2


def test_days_without_spend_count_as_nothing() -> None:
    detector = TimesTrailingMean(per_day=1)
    for day in range(8):
        detector.update(day * DAY, 10.0)
    verdict = detector.update(30 * DAY, 1.0)
    assert (verdict.expected, verdict.state) == (0.0, State.ANOMALOUS)
