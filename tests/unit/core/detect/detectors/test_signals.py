"""The parts of `drift-record`, with sums one can do by hand."""

from __future__ import annotations

import pytest

from streams.core.detect.detectors.daily import DailyProfile
from streams.core.detect.detectors.moments import WarmEW, WindowMean
from streams.core.detect.detectors.parameters import RestraintParameters
from streams.core.detect.detectors.restraint import Restraint
from streams.core.detect.detectors.signals import FIRST_MOVE, Drift, Record


def test_a_warm_mean_is_the_plain_one_until_its_rate() -> None:
    ew = WarmEW(0.25)
    for x in (1.0, 2.0, 6.0):
        ew.update(x)
    assert ew.get() == pytest.approx(3.0)
    assert ew.var == pytest.approx((4 + 1 + 9) / 3)
    ew.update(3.0)
    ew.update(7.0)
    assert ew.get() == pytest.approx(3.0 + 0.25 * 4)


def test_a_warm_variance_does_not_cancel_at_a_large_offset() -> None:
    ew = WarmEW(0.01)
    for i in range(1000):
        ew.update(1e9 + (i % 2) * 1e-3)
    assert ew.var == pytest.approx(2.5e-7, rel=0.05)


def test_a_window_mean_forgets_an_outlier_completely() -> None:
    window = WindowMean(4)
    for x in (1e17, 0.1, 0.2, 0.3, 0.4):
        window.update(x)
    assert window.get() == sum([0.1, 0.2, 0.3, 0.4]) / 4


def test_a_record_is_measured_in_widths_of_the_range() -> None:
    record = Record(relax=0.0)
    assert [record.update(x) for x in (0.0, 0.0)] == [0.0, 0.0]
    assert record.update(10.0) == FIRST_MOVE
    assert [record.update(x) for x in (5.0, 15.0, -3.0, 12.0)] == [0.0, 0.5, 0.2, 0.0]


def test_the_range_of_a_record_relaxes_to_where_the_values_are() -> None:
    record = Record(relax=0.5)
    for x in (0.0, 8.0, 4.0):
        record.update(x)
    assert (record.lowest, record.highest) == (
        4.0,
        6.0,
    )  # at 8 the low end goes half way up, at 4 the high end half way down


def test_a_drift_down_counts_only_if_asked() -> None:
    values = [1.0, -1.0] * 40 + [-9.0]
    one, two = (Drift(1, 0.001, 50, two_sided=two_sided) for two_sided in (False, True))
    assert [drift.update(x) for drift in (one, two) for x in values][len(values) - 1 :: len(values)] == [
        0.0,
        pytest.approx(9.0),
    ]


def test_an_hour_is_expected_where_it_lies_between_the_hours() -> None:
    profile = DailyProfile(0.1, 0.01)
    assert profile.update(1800.0, 10.0) == 10.0  # nothing known: the value itself
    assert profile.update(3600.0 + 1800.0, 20.0) == 10.0  # the hour is not known: the mean of all
    assert profile.update(1800.0, 10.0) == 10.0  # the middle of an hour
    assert profile.update(3600.0, 15.0) == 15.0  # half way


def restraint(**changes: float) -> Restraint:
    return Restraint(RestraintParameters(**changes), 2)


def test_a_surprise_of_just_over_one_alerts_once_and_then_is_quiet() -> None:
    judge = restraint().judge
    score, alert = judge((1.01, 0.0))
    assert alert
    assert score == pytest.approx(1.01)
    assert [judge((9.0, 0.0))[1] for _ in range(30)] == [False] * 22 + [True] + [False] * 7  # 0.15 of 150 points


def test_two_signals_add_up() -> None:
    score, alert = restraint().judge((0.95, 0.95))
    assert alert
    assert score == pytest.approx(0.95 * 2**0.2)


def test_the_signal_that_alerted_is_trusted_less_than_the_other() -> None:
    ours = restraint(back_off=0.0)
    ours.judge((2.0, 0.0))
    for _ in range(30):
        ours.skip()
    blamed, other = ours.judge((1.1, 0.0))[0], ours.judge((0.0, 1.1))[0]
    assert blamed < 1.0
    assert other == pytest.approx(1.1)


def test_trust_comes_back() -> None:
    ours = restraint()
    ours.judge((2.0, 0.0))
    for _ in range(750 * 200):
        ours.skip()
    assert ours.judge((1.1, 0.0))[0] == pytest.approx(1.1, rel=1e-4)
