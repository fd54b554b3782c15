"""Merging: a window is released once everyone who may speak has passed it, and silence is a window too."""

from __future__ import annotations

import json
from decimal import Decimal

from schemas.topics import CHARGES
from streams.core.detect.merge import MAX_SILENT_WINDOWS, Complete, Merger
from streams.core.windows.sums import SeriesKey, Sums
from streams.core.windows.ticks import Origin, Part, PartName, Parts, Ticks, Watermark, leaf_of
from streams.core.windows.ticks_json import from_json

A, B = Origin(CHARGES.name, 0), Origin(CHARGES.name, 1)
SOURCE = Origin("usage.token-calls", 0)


def part_of(key: SeriesKey, series: tuple[SeriesKey, ...], usd: int) -> Part:
    return Part(PartName(leaf_of(key), key, series), Sums(usd=Decimal(usd)))


def ticks(start: int, usd: int, origin: Origin = A, *, name: str = "k", piece: int = 0) -> Ticks:
    part = part_of((("principal", name),), ((),), usd)
    return Ticks("token_call", 10, start, origin, Parts.of([part]), piece)


def mark(time: int, origin: Origin = A, *, idle: bool = False) -> Watermark:
    return Watermark("token_call", 10, origin, time, idle)


def usd(found: list[Complete]) -> list[tuple[int, Decimal]]:
    return [(one.start, sum((w.sums.usd for w in one.windows.values()), Decimal(0))) for one in found]


def test_a_window_waits_for_everyone() -> None:
    merger = Merger()
    merger.expect("token_call", 10, B)
    merger.ticks(ticks(0, 1))
    assert not merger.watermark(mark(10))
    merger.ticks(ticks(0, 2, B))
    assert usd(merger.watermark(mark(10, B))) == [(0, Decimal(3))]


def test_an_upsert_replaces() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.ticks(ticks(0, 1))
    assert usd(merger.watermark(mark(10))) == [(0, Decimal(1))]


def test_an_idle_origin_is_not_waited_for_until_it_speaks_again() -> None:
    merger = Merger()
    merger.expect("token_call", 10, B)
    merger.ticks(ticks(0, 1))
    merger.watermark(mark(10))
    assert usd(merger.watermark(mark(0, B, idle=True))) == [(0, Decimal(1))]
    merger.watermark(mark(10, B))
    merger.ticks(ticks(10, 1))
    assert not merger.watermark(mark(20))


def test_silent_windows_are_released_between_others() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.ticks(ticks(30, 1))
    assert [one.start for one in merger.watermark(mark(40))] == [0, 10, 20, 30]
    assert [one.start for one in merger.watermark(mark(60))] == [40, 50]


def test_a_very_long_silence_is_skipped() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.watermark(mark(10))
    far = 10 * (MAX_SILENT_WINDOWS + 10)
    merger.ticks(ticks(far, 1))
    assert [one.start for one in merger.watermark(mark(far + 10))] == [far]


def test_a_tick_for_a_released_window_is_late() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.watermark(mark(20))
    merger.ticks(ticks(0, 5))
    assert merger.late == 1
    assert not any(one.windows for one in merger.watermark(mark(30)))


def test_at_the_upgrade_what_a_source_partition_said_counts_until_another_says_it() -> None:
    """Its windows are its partition's of charges from format 3 on: what that tells anew must not count twice."""
    merger = Merger()
    merger.expect("token_call", 10, A)
    for start, dollars in ((0, 1), (10, 2), (20, 4)):
        merger.ticks(ticks(start, dollars, SOURCE))
    assert not merger.watermark(mark(30, SOURCE)), "nobody waits for source partitions, or is told by them"
    merger.watermark(Watermark("token_call", 10, SOURCE, 10, over=True))
    merger.ticks(ticks(10, 2))
    merger.ticks(ticks(20, 8))
    assert usd(merger.watermark(mark(30))) == [(0, Decimal(1)), (10, Decimal(2)), (20, Decimal(8))]


def test_a_state_that_waited_for_source_partitions_waits_for_them_no_longer() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    state = merger.snapshot()
    state["lanes"][0]["said"] = [[*SOURCE, 0, False]]
    merger.restore(state)
    assert usd(merger.watermark(mark(10))) == [(0, Decimal(1))]


def test_a_part_that_several_origins_have_is_one_cell() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.ticks(ticks(0, 2, B))
    merger.ticks(ticks(0, 4, B, name="l", piece=1))
    (found,) = merger.watermark(mark(10, B)) + merger.watermark(mark(10))
    assert [(dict(key)["principal"], sums.usd) for key, sums in found.windows[()].cells] == [
        ("l", Decimal(4)),
        ("k", Decimal(3)),
    ]
    assert [part.sums.usd for part in found.parts] == [4, 3]


def test_what_is_told_anew_takes_the_place_of_all_pieces() -> None:
    merger = Merger()
    merger.ticks(ticks(0, 1))
    merger.ticks(ticks(0, 2, name="l", piece=1))
    merger.ticks(ticks(0, 4))
    assert usd(merger.watermark(mark(10))) == [(0, Decimal(4))]


def test_while_the_series_that_are_wanted_change_a_part_counts_in_those_that_each_origin_says() -> None:
    merger, key = Merger(), (("principal", "k"),)
    for origin, series in ((A, ((),)), (B, ((), key))):
        merger.ticks(Ticks("token_call", 10, 0, origin, Parts.of([part_of(key, series, 1)])))
    (found,) = merger.watermark(mark(10, B)) + merger.watermark(mark(10))
    assert {series: window.sums.usd for series, window in found.windows.items()} == {(): 2, key: 1}


def test_the_ticks_of_a_series_until_format_3_come_to_the_same_sums_and_cells() -> None:
    """A series with more parts than were named: the rest is in its sums alone."""
    wire = {
        "type": "ticks", "meter": "token_call", "window_start": "1970-01-01T00:00:00+00:00", "window_seconds": 10,
        "topic": A.topic, "partition": A.partition,
        "parts": [{"series": {"principal": "k"}, "sums": ["1.5", *[0] * 7, 3, *[0] * 5]}],
        "ticks": [
            {"series": {}, "sums": ["2", *[0] * 7, 4, *[0] * 5], "parts": [0], "aligned": {"60": 1}},
            {"series": {"principal": "k"}, "sums": ["1.5", *[0] * 7, 3, *[0] * 5], "parts": [0], "aligned": {}},
        ],
    }  # fmt: skip
    merger = Merger()
    for _ in range(2):  # it was an upsert, and a restart keeps it
        told = from_json(json.dumps(wire).encode())
        assert isinstance(told, list)
        for one in told:
            merger.ticks(one)
        saved = json.loads(json.dumps(merger.snapshot()))
        merger = Merger()
        merger.restore(saved)
    (found,) = merger.watermark(mark(10))
    key = (("principal", "k"),)
    assert [(w.series, w.sums.usd, w.sums.events, w.aligned) for w in found.windows.values()] == [
        ((), Decimal(2), 4, {60: 1}),
        (key, Decimal("1.5"), 3, {}),
    ]
    assert dict(found.windows[()].cells)[key].usd == Decimal("1.5")
