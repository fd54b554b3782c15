"""When dead letters stop the stage: not for the odd bad event, and surely for a bad deployment."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Reason
from streams.core.usage.dead_letters import Limit, Tally, Verdict

BAD, LATE = Reason.INTERNAL_ERROR, Reason.BAD_TIME
LIMIT = Limit(share=0.5, window=100, minimum=20)


def fed(*records: tuple[int, list[Reason]], limit: Limit = LIMIT) -> tuple[Tally, Verdict]:
    tally = Tally(limit)
    verdict = Verdict.WELL
    for charged, reasons in records:
        verdict = tally.add(charged, reasons)
    return tally, verdict


def test_a_stream_of_good_events_is_well() -> None:
    assert fed(*[(1, [])] * 1000)[1] is Verdict.WELL


def test_the_first_bad_events_are_doubtful_and_the_twentieth_stops() -> None:
    verdicts = [fed(*[(0, [BAD])] * count)[1] for count in (1, 19, 20)]
    assert verdicts == [Verdict.DOUBTFUL, Verdict.DOUBTFUL, Verdict.STOP]


def test_half_is_not_most() -> None:
    assert fed(*[(1, [BAD])] * 500)[1] is Verdict.WELL
    assert fed(*[(1, [BAD, BAD])] * 500)[1] is Verdict.STOP


def test_a_good_past_does_not_cover_a_bad_present_for_longer_than_the_window() -> None:
    good: list[tuple[int, list[Reason]]] = [(1, [])] * 10_000
    assert fed(*good, *[(0, [BAD])] * 50)[1] is Verdict.WELL
    assert fed(*good, *[(0, [BAD])] * 51)[1] is Verdict.STOP


def test_one_record_with_many_bad_events_stops_by_itself() -> None:
    assert fed((0, [BAD] * 20))[1] is Verdict.STOP
    assert fed((1, []), (0, [BAD] * 5_000))[1] is Verdict.STOP


def test_a_share_of_one_never_stops() -> None:
    assert fed(*[(0, [BAD])] * 1000, limit=Limit(share=1, window=100, minimum=20))[1] is Verdict.WELL


def test_the_words_count_reasons_of_the_window_and_name_the_mend() -> None:
    tally, _ = fed(*[(1, [LATE])] * 200, *[(0, [BAD])] * 60)
    words = tally.words("usage.gpu")
    assert words.startswith(
        "80 of the newest 100 events of usage.gpu are dead letters (internal_error 60, bad_time 20)"
    )
    assert "--set dead_letters.stop_share=1" in words


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1), st.integers(1, 50))
def test_the_window_counts_what_a_list_of_all_events_would(records: list[tuple[int, int]], window: int) -> None:
    tally = Tally(Limit(share=0.5, window=window, minimum=1))
    for charged, bad in records:
        tally.add(charged, [BAD] * bad)
    kept: list[tuple[int, int]] = []
    for record in reversed(records):  # the fewest newest records that fill the window
        if sum(map(sum, kept)) >= window:
            break
        kept.append(record)
    assert tally.events == sum(map(sum, kept))
    assert tally.dead == sum(bad for _, bad in kept)


@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_of_bad_events_never_stops_a_busy_stream(seed: int) -> None:
    chance = random.Random(seed)
    tally = Tally(Limit())
    for _ in range(50_000):
        bad = chance.random() < 0.1
        assert tally.add(not bad, [BAD] if bad else []) is not Verdict.STOP
