"""What every detector promises, whatever it is made of. A new detector joins by being in the registry."""

from __future__ import annotations

import gc
import json
import math
import sys
import time
import types
from array import array
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.detect.detectors import DETECTORS, PRODUCT, Detector, SnapshotError, State, Verdict, restored

START, STEP = 1_700_000_000.0, 300.0
LIMIT_BYTES = 12 * 1024
MOST_STEPS = 10

every_detector = pytest.mark.parametrize("name", DETECTORS)
odd = st.sampled_from([0.0, -0.0, 1e15, -1e15, 1e-300, -1e-12, 5e-324, 1e59, math.nan, math.inf, -math.inf, None])
usual = st.floats(-1e6, 1e6)
histories = st.lists(st.one_of(usual, odd), max_size=40)


def points(
    values: Sequence[float | None], start: float = START, step: float = STEP
) -> list[tuple[float, float | None]]:
    return [(start + i * step, value) for i, value in enumerate(values)]


def feed(detector: Detector, history: Sequence[tuple[float, float | None]]) -> list[Verdict]:
    return [detector.update(at, value) for at, value in history]


def noisy_days(count: int, seed: int = 1) -> list[tuple[float, float | None]]:
    """A daily rhythm with noise, by the hour so that ten days are 240 points, and one burst near the end."""
    rng = Random(seed)
    values: list[float | None] = [100 + 50 * math.sin(i / 24 * math.tau) + rng.gauss(0, 5) for i in range(count)]
    for i in range(max(0, count - 20), max(0, count - 10)):
        values[i] = 900.0
    return points(values, step=3600.0)


def through_json(detector: Detector) -> Any:
    return json.loads(json.dumps(detector.snapshot(), allow_nan=False))


def exactly(verdicts: Sequence[Verdict]) -> list[tuple[object, ...]]:
    """For comparing bit for bit: repr tells -0.0 from 0.0."""
    return [tuple(repr(field) for field in verdict) for verdict in verdicts]


@every_detector
def test_a_point_is_scored_before_it_is_learnt(name: str) -> None:
    """What the next point is to be is known before it comes: with the same past, the same is expected of any value."""
    past = noisy_days(400)
    expected = set()
    for value in (0.0, 150.0, 1e6):
        detector = DETECTORS[name]()
        feed(detector, past)
        expected.add(detector.update(past[-1][0] + 3600.0, value).expected)
    assert len(expected) == 1


@every_detector
def test_to_ask_for_the_band_changes_nothing(name: str) -> None:
    asked, other, history = DETECTORS[name](), DETECTORS[name](), noisy_days(500)
    for at, value in history:
        asked.band(at)
        assert exactly([asked.update(at, value)]) == exactly([other.update(at, value)])
    before = through_json(asked)
    asked.band(history[-1][0] + 9 * 3600.0)
    assert through_json(asked) == before == through_json(other)


@every_detector
def test_the_future_does_not_change_the_past(name: str) -> None:
    history = noisy_days(500)
    other = history[:350] + [(at, 7.0) for at, _ in history[350:]]
    whole, changed, cut = (feed(DETECTORS[name](), h) for h in (history, other, history[:350]))
    assert exactly(whole[:350]) == exactly(changed[:350]) == exactly(cut)


@every_detector
def test_it_is_deterministic(name: str) -> None:
    history = noisy_days(500)
    assert exactly(feed(DETECTORS[name](), history)) == exactly(feed(DETECTORS[name](), history))


@every_detector
@settings(max_examples=100, deadline=None)
@given(settled=st.sampled_from([0, 1, 50, 99, 100, 101, 150, 260]), before=histories, after=histories)
def test_a_restored_snapshot_continues_bit_for_bit(
    name: str, settled: int, before: list[float | None], after: list[float | None]
) -> None:
    history = noisy_days(settled) + points(before, START + settled * 3600.0)
    detector = DETECTORS[name]()
    feed(detector, history)
    other = restored(through_json(detector))
    rest = points(after, START + 2_000_000.0)
    assert exactly(feed(detector, rest)) == exactly(feed(other, rest))
    assert through_json(detector) == through_json(other)


@every_detector
@settings(max_examples=100, deadline=None)
@given(settled=st.sampled_from([0, 120, 260]), values=histories)
def test_nothing_makes_it_raise_or_answer_with_what_is_not_finite(
    name: str, settled: int, values: list[float | None]
) -> None:
    detector = DETECTORS[name]()
    feed(detector, noisy_days(settled))
    assert_sound(detector, points(values, START + settled * 3600.0))


@every_detector
@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 400,
        [42.0] * 399 + [43.0],
        [-5.0, -7.0] * 200,
        [1e15, 1e15 + 1] * 200,
        [1e-12, 2e-12] * 200,
        [0.0] * 300 + [1e15] + [0.0] * 99,
        [1e59, -1e59] * 200,
    ],
    ids=["zeros", "flat-then-moves", "negative", "huge", "tiny", "one-outlier", "edge-of-range"],
)
def test_it_survives_odd_series(name: str, values: list[float | None]) -> None:
    assert_sound(DETECTORS[name](), points(values, step=3600.0))


@every_detector
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, 1e61])
def test_what_cannot_be_judged_leaves_no_trace(name: str, bad: float | None) -> None:
    detector, history = DETECTORS[name](), noisy_days(300)
    feed(detector, history)
    before = through_json(detector)
    verdict = detector.update(history[-1][0] + 3600.0, bad)
    assert verdict.state is State.UNSCORED
    assert (verdict.score, verdict.alert) == (0.0, False)
    assert through_json(detector) == before


@every_detector
@pytest.mark.parametrize("at", [math.nan, math.inf, START * 1e9])
def test_a_time_that_is_none_is_not_scored(name: str, at: float) -> None:
    detector = DETECTORS[name]()
    assert all(map(math.isfinite, detector.band(at)))
    assert detector.update(at, 1.0).state is State.UNSCORED


@every_detector
@pytest.mark.parametrize("at", [-1e-300, 0.0, -STEP, START - 1e8])
def test_times_before_the_epoch_or_the_last_point_are_only_odd(name: str, at: float) -> None:
    detector = DETECTORS[name]()
    feed(detector, noisy_days(300))
    assert_sound(detector, [(at, 1.0)])


@every_detector
def test_it_says_warming_before_it_judges_and_never_again(name: str) -> None:
    states = [verdict.state for verdict in feed(DETECTORS[name](), noisy_days(500))]
    assert states[0] is State.WARMING
    judged = next(i for i, state in enumerate(states) if state is not State.WARMING)
    assert states[judged] is State.NORMAL
    assert set(states[judged:]) <= {State.NORMAL, State.ANOMALOUS}


@every_detector
def test_it_sees_a_burst(name: str) -> None:
    """Nine times the usual for ten hours after weeks of calm."""
    verdicts = feed(DETECTORS[name](), noisy_days(500))
    assert any(verdict.state is State.ANOMALOUS for verdict in verdicts[480:490])
    assert any(verdict.alert for verdict in verdicts)


@every_detector
def test_its_snapshot_stays_bounded(name: str) -> None:
    detector = DETECTORS[name]()
    feed(detector, noisy_days(1000))
    size = len(json.dumps(detector.snapshot()))
    feed(detector, noisy_days(4000, seed=2))
    assert len(json.dumps(detector.snapshot())) < 1.1 * size + 100


@every_detector
@pytest.mark.parametrize("change", [{"version": 99}, {"version": None}, {"detector": "other"}, {"config": "other"}])
def test_a_foreign_snapshot_is_refused(name: str, change: dict[str, object]) -> None:
    detector = DETECTORS[name]()
    with pytest.raises(SnapshotError, match=next(iter(change))):
        detector.restore({**detector.snapshot(), **change})


@every_detector
def test_a_damaged_snapshot_is_refused(name: str) -> None:
    with pytest.raises(SnapshotError, match="does not fit"):
        DETECTORS[name]().restore({**DETECTORS[name]().snapshot(), "state": {}})
    with pytest.raises(SnapshotError, match="unknown detector"):
        restored({"detector": "nobody"})


@pytest.mark.parametrize("name", PRODUCT)
@pytest.mark.parametrize("length", [50, 99, 3000])
def test_a_series_fits_its_memory(name: str, length: int) -> None:
    detector = DETECTORS[name]()
    feed(detector, noisy_days(length))
    assert own_bytes(detector) <= LIMIT_BYTES


@pytest.mark.parametrize("name", PRODUCT)
def test_an_update_costs_some_microseconds(name: str) -> None:
    """By the cheapest of many batches, so that a busy machine makes no difference. A slow one, where `MOST_STEPS` steps
    of a plain loop take longer than that, has as long as they take.

    A step is some 1.0 us where `drift-record` takes 4.5 us and those of spend 7 to 8 us an update.
    """
    detector, batch = DETECTORS[name](), 100
    history = noisy_days(60 * batch)
    costs, steps = [], []
    for first in range(0, len(history), batch):
        began = time.process_time()
        feed(detector, history[first : first + batch])
        fed = time.process_time()
        step(batch)
        costs.append(fed - began)
        steps.append(time.process_time() - fed)
    assert min(costs) / batch <= max(10e-6, MOST_STEPS * min(steps) / batch)


def step(times: int) -> float:
    """What an update is measured by: twenty exponentials, summed up."""
    total = 0.0
    for number in range(20 * times):
        total += math.exp(-0.1 * (number % 7))
    return total


def assert_sound(detector: Detector, history: Sequence[tuple[float, float | None]]) -> None:
    """What it says of each point, and of the band before it, makes sense."""
    for at, value in history:
        low, high = detector.band(at)
        verdict = detector.update(at, value)
        assert math.isfinite(verdict.score)
        assert verdict.score >= 0.0
        assert all(map(math.isfinite, (low, verdict.expected, high)))
        assert low <= high
        if verdict.state in {State.WARMING, State.UNSCORED}:
            assert (verdict.score, verdict.alert) == (0.0, False)
        else:
            assert low <= verdict.expected <= high
            assert (verdict.state is State.ANOMALOUS) == (verdict.score > 1.0)
        assert not verdict.alert or verdict.state is State.ANOMALOUS


def own_bytes(root: object) -> int:
    """Bytes of everything that belongs to an object alone: classes and frozen parameters are shared by all series."""
    shared = (type, types.ModuleType, types.FunctionType, str, int)
    seen: set[int] = set()
    pending, size = [root], 0
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, shared) or type(thing).__name__.endswith("Parameters"):
            continue
        seen.add(id(thing))
        size += sys.getsizeof(thing)
        if not isinstance(thing, array):
            pending.extend(gc.get_referents(thing))
    return size
