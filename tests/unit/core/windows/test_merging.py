"""From parts to series: the same as adding up one part after the other, however many there are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.windows import merging, ticks_json
from streams.core.windows.merging import Book
from streams.core.windows.sums import SeriesKey, Sums, Window
from streams.core.windows.ticks import Origin, Part, Parts, Ticks, leaf_of, part_name
from streams.core.windows.ticks_json import Writer, from_json

NAMES = ((), ("team",), ("principal",), ("team", "principal"))
VALUES = st.sampled_from(["a", "b", "|", "~1", "~", ""])


def part(team: str, principal: str, usd: int, risk: int = 0, wanted: tuple[int, ...] = (0, 1, 2, 3)) -> Part:
    key = tuple((name, value) for name, value in (("team", team), ("principal", principal)) if value)
    names = [NAMES[at] for at in wanted if all(name in dict(key) for name in NAMES[at])]
    sums = Sums(usd=Decimal(usd) / 1000, at_risk_usd=Decimal(risk), events=1, unpriced_events=bool(risk))
    return Part(part_name(leaf_of(key), names), sums, {60: 1} if usd % 2 else {})


A_PART = st.builds(part, VALUES, VALUES, st.integers(0, 5), st.integers(0, 1), st.sampled_from([(0, 1, 2, 3), (0, 2)]))
SAID = st.lists(st.lists(A_PART, max_size=8), min_size=1, max_size=4)


def one_by_one(said: list[list[Part]], most: int) -> dict[SeriesKey, Any]:
    """What `Book` does, a part at a time."""
    whole: dict[Any, tuple[Part, Sums, dict[int, int]]] = {}
    for given_part in (one for parts in said for one in parts):
        name = given_part.name
        _, sums, aligned = whole.setdefault((name.key, name.series), (given_part, Sums(), {}))
        sums.add(given_part.sums)
        for step, count in given_part.aligned.items():
            aligned[step] = aligned.get(step, 0) + count
    ordered = sorted(whole.items(), key=lambda one: (-one[1][1].usd, -one[1][1].at_risk_usd, one[0]))
    found: dict[SeriesKey, Any] = {}
    for (key, series), (_, sums, aligned) in ordered:
        for name_of in series:
            into, cells, ends = found.setdefault(name_of, (Sums(), [], {}))
            into.add(sums)
            cells.append((key, sums))
            for step, count in aligned.items():
                ends[step] = ends.get(step, 0) + count
    return {key: (sums, cells[:most], ends) for key, (sums, cells, ends) in sorted(found.items())}


def plain(windows: dict[SeriesKey, Window]) -> list[Any]:
    return [(key, window.sums, window.cells, window.aligned) for key, window in windows.items()]


def put_together(book: Book, said: list[list[Part]], most: int) -> list[Any]:
    return plain(book.windows("token_call", 10, 0, book.merged([Parts.of(parts) for parts in said]), most))


@settings(deadline=None)
@given(st.lists(SAID, min_size=1, max_size=3), st.integers(1, 4))
def test_series_are_what_adding_up_part_by_part_gives(windows: list[list[list[Part]]], most: int) -> None:
    """Several windows after each other, since a book knows those before."""
    book = Book()
    for said in windows:
        expected = [(key, *of_it) for key, of_it in one_by_one(said, most).items()]
        assert put_together(book, said, most) == expected


@settings(deadline=None)
@given(st.lists(A_PART, max_size=8))
def test_parts_are_the_same_after_kafka_whatever_stands_in_their_names(parts: list[Part]) -> None:
    window = Ticks("token_call", 10, 0, Origin("spend.charges", 1), Parts.of(parts))
    assert from_json(Writer().whole(window)) == [window]
    assert [from_json(value) for _, value in Writer().records(window)] == [[window]] * bool(parts)


def test_series_stand_in_order_while_ever_more_come() -> None:
    """Some have no rank yet; and a hundred that have one are not put in order anew for them."""
    book = Book()
    for count in (100, 101, 110, 200):
        said = [[part("t", f"{number * 7919 % 1000:03}", 1) for number in range(count)]]
        keys = [key for key, *_ in put_together(book, said, 1)]
        assert keys == sorted(keys)
        assert len(keys) == 2 + 2 * count


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST_KNOWN", 5)
    monkeypatch.setattr(ticks_json, "MOST_KNOWN", 5)
    bounded, writer = Book(), Writer()
    for first in range(0, 40, 4):
        parts = [part("t", str(number), number) for number in range(first, first + 8)]
        window = Ticks("token_call", 10, 0, Origin("spend.charges", 1), Parts.of(parts))
        for _, value in writer.records(window):
            assert from_json(value) == [window]
        expected = [(key, *of_it) for key, of_it in one_by_one([parts, parts], 9).items()]
        assert put_together(bounded, [parts, parts], 9) == expected
        assert len(bounded._numbers) <= 5 + len(parts)


def test_a_window_without_parts_has_no_series() -> None:
    book = Book()
    assert book.windows("token_call", 10, 0, book.merged([Parts(), Parts()]), 24) == {}
