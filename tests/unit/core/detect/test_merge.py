"""Merging: a window is released once everyone who may speak has passed it, and silence is a window too."""

from __future__ import annotations

from decimal import Decimal

from schemas.topics import CHARGES
from streams.core.detect.merge import MAX_SILENT_WINDOWS, Complete, Merger
from streams.core.windows.sums import Origin, Sums, Tick, Watermark, Window

A, B = Origin(CHARGES.name, 0), Origin(CHARGES.name, 1)
SOURCE = Origin("usage.token-calls", 0)


def tick(start: int, usd: int, origin: Origin = A) -> Tick:
    return Tick(Window("token_call", (), start, 10, Sums(usd=Decimal(usd))), origin)


def mark(time: int, origin: Origin = A, *, idle: bool = False) -> Watermark:
    return Watermark("token_call", 10, origin, time, idle)


def usd(found: list[Complete]) -> list[tuple[int, Decimal]]:
    return [(one.start, sum((w.sums.usd for w in one.windows.values()), Decimal(0))) for one in found]


def test_a_window_waits_for_everyone() -> None:
    merger = Merger()
    merger.expect("token_call", 10, B)
    merger.tick(tick(0, 1))
    assert not merger.watermark(mark(10))
    merger.tick(tick(0, 2, B))
    assert usd(merger.watermark(mark(10, B))) == [(0, Decimal(3))]


def test_an_upsert_replaces() -> None:
    merger = Merger()
    merger.tick(tick(0, 1))
    merger.tick(tick(0, 1))
    assert usd(merger.watermark(mark(10))) == [(0, Decimal(1))]


def test_an_idle_origin_is_not_waited_for_until_it_speaks_again() -> None:
    merger = Merger()
    merger.expect("token_call", 10, B)
    merger.tick(tick(0, 1))
    merger.watermark(mark(10))
    assert usd(merger.watermark(mark(0, B, idle=True))) == [(0, Decimal(1))]
    merger.watermark(mark(10, B))
    merger.tick(tick(10, 1))
    assert not merger.watermark(mark(20))


def test_silent_windows_are_released_between_others() -> None:
    merger = Merger()
    merger.tick(tick(0, 1))
    merger.tick(tick(30, 1))
    assert [one.start for one in merger.watermark(mark(40))] == [0, 10, 20, 30]
    assert [one.start for one in merger.watermark(mark(60))] == [40, 50]


def test_a_very_long_silence_is_skipped() -> None:
    merger = Merger()
    merger.tick(tick(0, 1))
    merger.watermark(mark(10))
    far = 10 * (MAX_SILENT_WINDOWS + 10)
    merger.tick(tick(far, 1))
    assert [one.start for one in merger.watermark(mark(far + 10))] == [far]


def test_a_tick_for_a_released_window_is_late() -> None:
    merger = Merger()
    merger.tick(tick(0, 1))
    merger.watermark(mark(20))
    merger.tick(tick(0, 5))
    assert merger.late == 1
    assert not any(one.windows for one in merger.watermark(mark(30)))


def test_at_the_upgrade_what_a_source_partition_said_counts_until_another_says_it() -> None:
    """Its windows are its partition's of charges from format 3 on: what that tells anew must not count twice."""
    merger = Merger()
    merger.expect("token_call", 10, A)
    for start, dollars in ((0, 1), (10, 2), (20, 4)):
        merger.tick(tick(start, dollars, SOURCE))
    assert not merger.watermark(mark(30, SOURCE)), "nobody waits for source partitions, or is told by them"
    merger.watermark(Watermark("token_call", 10, SOURCE, 10, over=True))
    merger.tick(tick(10, 2))
    merger.tick(tick(20, 8))
    assert usd(merger.watermark(mark(30))) == [(0, Decimal(1)), (10, Decimal(2)), (20, Decimal(8))]


def test_a_state_that_waited_for_source_partitions_waits_for_them_no_longer() -> None:
    merger = Merger()
    merger.tick(tick(0, 1))
    state = merger.snapshot()
    state["lanes"][0]["said"] = [[*SOURCE, 0, False]]
    merger.restore(state)
    assert usd(merger.watermark(mark(10))) == [(0, Decimal(1))]
