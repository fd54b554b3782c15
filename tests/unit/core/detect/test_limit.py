"""The range that is shown around what is expected ends where one window is told."""

from __future__ import annotations

import json
from random import Random

import pytest

from streams.core.detect.ratios import RatioGauge

HOUR, LIFE = 3600.0, 12 * 3600.0


def _restless(seed: int, hours: int) -> RatioGauge:
    """A bill's line by the hour that now and then is several times as dear."""
    rng, gauge = Random(seed), RatioGauge()
    for _ in range(hours):
        usd = rng.choice((1.0, 1.2, 2.0, 4.4)) if rng.random() < 0.9 else 0.1
        gauge.judge(usd, 1.0, 0.0, 0.0)
        gauge.learn(HOUR, LIFE, usual=True, suspect=False)
    return gauge


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("hours", [20, 60, 200])
@pytest.mark.parametrize(("upper", "little"), [(0.0, 0.0), (2.5, 0.3)])
def test_one_window_beyond_the_range_is_told_and_one_within_it_is_not(
    seed: int, hours: int, upper: float, little: float
) -> None:
    gauge = _restless(seed, hours)
    gauge.refresh()
    limit = gauge.limit(upper, little)
    for share, told in ((0.99, False), (1.01, True)):
        again = RatioGauge.from_json(json.loads(json.dumps(gauge.to_json())))
        assert (again.judge(limit * share, 1.0, upper, little).now > 1.0) is told
