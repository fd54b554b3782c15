"""Slopes, and what only looks like one."""

from __future__ import annotations

from math import log
from random import Random

import pytest

from streams.core.detect.slope import is_slope

A_DAY = 24


def noisy(hours: list[float], seed: int) -> list[float]:
    rng = Random(seed)
    return [hour + rng.gauss(0, 0.08) for hour in hours]


def rise(an_hour: float, hours: int) -> list[float]:
    return [an_hour * (hour + 0.5) for hour in range(hours)]


@pytest.mark.parametrize("seed", range(8))
class TestIsSlope:
    def test_what_rises_evenly_from_the_usual_is_one(self, seed: int) -> None:
        assert is_slope(noisy([*[0.0] * A_DAY, *rise(0.06, 12)], seed))

    def test_a_silent_hour_does_not_decide(self, seed: int) -> None:
        hours = noisy([*[0.0] * A_DAY, *rise(0.06, 12)], seed)
        for at in (10, 28):
            assert is_slope([*hours[:at], -6.0, *hours[at + 1 :]])

    def test_a_step_is_none(self, seed: int) -> None:
        assert not is_slope(noisy([*[0.0] * A_DAY, *[0.9] * 12], seed))

    def test_what_comes_back_from_a_low_and_goes_beyond_is_none(self, seed: int) -> None:
        assert not is_slope(noisy([*[0.0] * 6, *[-0.6] * 16, *[0.5] * 10, *rise(0.06, 4)], seed))

    def test_what_stood_high_all_day_is_none(self, seed: int) -> None:
        assert not is_slope(noisy([*[1.1] * A_DAY, *[1.5] * 12], seed))

    def test_what_doubles_every_two_hours_is_none(self, seed: int) -> None:
        assert not is_slope(noisy([*[0.0] * A_DAY, *rise(log(2) / 2, 6)], seed))
