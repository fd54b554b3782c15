"""Sources by the call and in buckets, each at its own pace."""

from __future__ import annotations

from random import Random

import pytest

from streams.core.detect.cadence import Pace
from streams.core.detect.merge import Complete
from streams.core.detect.rules import WatchRules
from streams.core.detect.watch import Watch
from streams.core.windows.sums import Window
from tests.support.watching import START, key, tokens

KEY = key(principal="key-1")


def aligned(second: int) -> dict[int, int]:
    return {step: 1 for step in (60, 300, 3600, 86_400) if second % step == 0}


@pytest.mark.parametrize(("every", "pace"), [(60, 60), (300, 300), (3600, 3600)])
def test_a_source_that_reports_buckets_is_watched_by_the_bucket(every: int, pace: int) -> None:
    learnt = Pace(10)
    for second in range(START, START + 500 * every, every):
        learnt.learn(1, aligned(second))
    assert learnt.seconds == pace


def test_calls_stamped_by_the_whole_second_are_watched_by_the_call() -> None:
    learnt, rng = Pace(10), Random(1)
    changes = 0
    for _ in range(2000):
        marks: dict[int, int] = {}
        for _ in range(5):
            for step, count in aligned(START + rng.randrange(86_400)).items():
                marks[step] = marks.get(step, 0) + count
        changes += learnt.learn(5, marks)
    assert (learnt.seconds, changes) == (10, 0)


def test_a_first_call_that_stands_on_a_full_minute_by_chance_says_nothing() -> None:
    """It made a young key's pace a minute, the next call undid it, and warming up began anew with each."""
    learnt = Pace(10)
    assert not any(learnt.learn(1, marks) for marks in ({60: 1}, {}, {}, {60: 1}, {}, {}, {}))
    assert learnt.seconds == 10


def test_a_mixed_series_is_watched_no_more_finely_than_its_buckets() -> None:
    learnt = Pace(10)
    for minute in range(200):
        learnt.learn(9, {})
        learnt.learn(1, aligned(START + 60 * minute))
    assert learnt.seconds == 60


def test_a_set_pace_is_not_learnt() -> None:
    learnt = Pace(10, 300)
    learnt.learn(1, {60: 1})
    assert learnt.seconds == 300


def test_a_pace_can_be_set_for_every_series_that_carries_a_name() -> None:
    rules = WatchRules(cadence=(((), 60), (KEY, 3600)))
    assert rules.cadence_of(key(principal="key-1", model="gpt-4o")) == 3600
    assert rules.cadence_of(key(model="gpt-4o")) == 60
    assert WatchRules().cadence_of(KEY) == 0


def test_buckets_of_a_minute_in_windows_of_ten_seconds_are_no_pulses() -> None:
    """The same spend, reported once a minute, is one steady series; and a bucket of ten times is found."""
    watch, rng = Watch(WatchRules(min_excess_usd=1.0)), Random(1)
    told = []
    for minute in range(200):
        for start in range(START + 60 * minute, START + 60 * minute + 60, 10):
            windows = {}
            if start % 60 == 50:  # the bucket's last moment
                sums = tokens(500 if minute == 190 else round(rng.gauss(50, 5)))
                windows[KEY] = Window("token_call", KEY, start, 10, sums, [(KEY, sums)], {60: 1})
            told += watch.window(Complete("token_call", 10, start, windows))
    assert {finding.cadence_seconds for finding in told} == {60}
    assert {finding.detected_at.timestamp() for finding in told} == {START + 191 * 60}
