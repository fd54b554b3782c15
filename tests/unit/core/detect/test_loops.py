"""Loops, retries and bloats that stay below the highest that a key has been."""

from __future__ import annotations

import json
from math import sqrt
from random import Random

import pytest

from schemas.watch import FindingKind
from streams.core.detect.gauges import LEVEL, OUTPUT, OWN
from streams.core.detect.lifecycle import Case
from streams.core.detect.watch import Says
from streams.core.windows.sums import Sums, utc
from tests.support.watching import MINUTE, Stream, key, steady, tokens

KEY = key(principal="key-1")
DAY = 24 * 60  # windows


def restless(count: int, seed: int = 1, **each: int) -> list[Sums]:
    """About 50 requests a window, and five to ten times as many for ten windows in every hundred."""
    rng = Random(seed)
    burst = [rng.uniform(5, 10) if rng.random() < 0.1 else 1.0 for _ in range(count // 10 + 1)]
    return [people(rng, 50 * burst[at // 10], **each) for at in range(count)]


def people(rng: Random, mean: float, **each: int) -> Sums:
    """A window of about so many requests, as unevenly as people ask."""
    return tokens(max(1, round(rng.gauss(mean, 2 * sqrt(mean)))), **each)


def grown() -> Stream:
    """A key that has been restless for two days."""
    stream = Stream()
    stream.feed(KEY, [*restless(2 * DAY), *steady(60)])
    return stream


def retries(windows: int, times: int = 5) -> list[Sums]:
    """So many times the requests bring no more output than usual."""
    rng = Random(3)
    return [people(rng, 50 * times, answer=200 // times) for _ in range(windows)]


def test_requests_that_bring_no_more_output_are_told_below_the_highest() -> None:
    stream = grown()
    began = stream.now
    first = stream.feed(KEY, retries(20))[0]
    assert (first.kind, first.cause, first.opened_at) == (FindingKind.SPIKE, "volume", utc(began))
    assert first.detected_at <= utc(began + 5 * MINUTE)
    stream.feed(KEY, steady(20, seed=4))
    finding = stream.found[first.finding_id]
    assert finding.status == "closed"
    # 250 requests of 0.0036 USD, where as much output costs 0.3: 20 windows of 0.6 too much.
    assert 10 < finding.excess_usd < 13
    assert stream.feed(KEY, [tokens(250)] * 2) == []  # as many requests that are answered are a burst like others


def test_retries_that_end_in_silence_are_over_and_the_silence_is_told() -> None:
    stream = grown()
    first = stream.feed(KEY, retries(20))[0]
    until = stream.now
    silence = stream.feed(KEY, [Sums()] * 120)
    over = stream.found[first.finding_id]
    assert over.closed_at is not None
    assert over.closed_at <= utc(until + 15 * MINUTE)
    assert {finding.kind for finding in silence if finding.finding_id != first.finding_id} == {FindingKind.DROP}


def test_requests_without_any_output_are_told_as_well() -> None:
    stream = grown()
    assert stream.feed(KEY, [tokens(250, answer=0)] * 3)


def test_shorter_answers_that_come_to_no_more_than_usual_are_no_trouble() -> None:
    stream = grown()
    assert stream.feed(KEY, [tokens(50, answer=20)] * 30) == []


def test_answers_of_ordinary_length_after_long_ones_are_no_trouble() -> None:
    """To the last hour, in which output came cheap, each token of it would cost too much."""
    stream, rng = Stream(), Random(7)
    stream.feed(KEY, restless(2 * DAY, fresh=5000, answer=100))
    stream.feed(KEY, [people(rng, 50, fresh=0, answer=1100) for _ in range(90)])
    assert stream.feed(KEY, [people(rng, 120, fresh=5000, answer=100) for _ in range(60)]) == []


def test_what_brings_no_output_twice_is_told_no_third_time() -> None:
    stream = grown()
    told = [bool(stream.feed(KEY, [*retries(20), *steady(17 * 60, seed=n)])) for n in range(3)]
    assert told == [True, True, False]


@pytest.mark.parametrize("says", ["expected", "false_positive"])
def test_retries_that_are_nothing_are_not_told_again(says: Says) -> None:
    stream = grown()
    assert stream.feed(KEY, [*retries(20, 6), *steady(4)])
    stream.watch.feedback("token_call", KEY, FindingKind.SPIKE, says)
    stream.feed(KEY, steady(300, seed=5))
    assert stream.feed(KEY, retries(20, 6)) == []


def loop(windows: int, level: int = 150) -> list[Sums]:
    return [tokens(level)] * windows


def by_chance(windows: int, level: int = 150) -> list[Sums]:
    """As many requests as in a loop, as they come by chance."""
    rng = Random(11)
    return [tokens(round(rng.gauss(level, sqrt(level)))) for _ in range(windows)]


def test_what_repeats_itself_is_told_below_the_highest() -> None:
    stream = grown()
    began = stream.now
    first = stream.feed(KEY, [*loop(3), *by_chance(3), *loop(12)])[0]
    assert (first.kind, first.cause) == (FindingKind.SPIKE, "volume")
    assert utc(began + 7 * MINUTE) <= first.detected_at <= utc(began + 13 * MINUTE)


def test_as_many_requests_of_people_are_not_told() -> None:
    assert grown().feed(KEY, by_chance(60)) == []


def test_few_requests_are_even_by_chance() -> None:
    stream, rng = Stream(), Random(1)
    stream.feed(KEY, [tokens(rng.choice((1, 1, 1, 9))) for _ in range(2 * DAY)])
    assert stream.feed(KEY, loop(20, 9)) == []


@pytest.mark.parametrize(("before", "told"), [(20, False), (0, True)])
def test_a_machine_of_the_first_day_is_how_the_key_is(before: int, told: bool) -> None:
    stream = Stream()
    stream.feed(KEY, [*restless(DAY // 2), *steady(60), *loop(before, 250)])
    stream.feed(KEY, [*restless(2 * DAY, seed=2), *steady(60)])
    assert bool(stream.feed(KEY, loop(20, 250))) is told


def test_an_even_stretch_that_was_nothing_is_not_told_again() -> None:
    stream = grown()
    for again in (False, True):
        told = stream.feed(KEY, loop(20))
        assert bool(told) is not again
        stream.watch.feedback("token_call", KEY, FindingKind.SPIKE, "false_positive")
        stream.feed(KEY, steady(300, seed=6))


def test_an_even_stretch_that_comes_every_night_is_told_no_third_time() -> None:
    stream = grown()
    told = [bool(stream.feed(KEY, [*loop(20, 250), *steady(DAY - 20, seed=n)])) for n in range(3)]
    assert told == [True, True, False]


def test_a_restart_knows_what_output_costs_and_what_was_even() -> None:
    history = [*retries(15), *steady(30), *loop(30), *steady(30, seed=8), *retries(15), *loop(30)]
    straight = grown()
    state = json.loads(json.dumps(straight.watch.snapshot()))
    for cut in (1, 20, 60, 110, 130):
        first, second = Stream(now=straight.now), Stream()
        first.watch.restore(state)
        first.feed(KEY, history[:cut])
        second.now = first.now
        second.watch.restore(json.loads(json.dumps(first.watch.snapshot())))
        second.feed(KEY, history[cut:])
        whole = Stream(now=straight.now)
        whole.watch.restore(state)
        whole.feed(KEY, history)
        assert [*first.told, *second.told] == whole.told
        assert second.watch.snapshot() == whole.watch.snapshot()


@pytest.mark.parametrize(("basis", "now"), [(LEVEL, LEVEL), (3, OWN)])
def test_a_finding_that_was_open_before_output_was_known_goes_on(basis: int, now: int) -> None:
    stretch = [0, 60, 5.0, [4.0, 3.0, 2.0, 1.0], []]
    numbers = [60, 60, basis, 1.0, 0.0, 0.0, 0.0, False, False, 0, 0, 0.0, 0]
    case = Case.from_json(["spike", stretch, *numbers])
    assert (case.basis, case.stretch.expected) == (now, [4.0, 3.0, 2.0, 4.0, 1.0])
    assert Case.from_json(case.to_json()) == case
    assert case.stretch.expected[OUTPUT] == case.stretch.expected[LEVEL]


@pytest.mark.parametrize(("dear", "fresh", "told"), [(1, 30_000, False), (10, 6400, True)])
def test_one_giant_request_is_in_one_window(dear: int, fresh: int, told: bool) -> None:
    """A window may be dear for one giant request, but not ten of them."""
    stream, rng = Stream(), Random(9)
    stream.feed(KEY, [tokens(rng.choice((1, 2, 3)), fresh=rng.choice((500, 1500))) for _ in range(2 * DAY)])
    assert bool(stream.feed(KEY, [*[tokens(2, fresh=fresh)] * dear, *[tokens(2)] * 10])) is told
