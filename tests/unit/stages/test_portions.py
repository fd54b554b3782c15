"""What one poll brings is taken in by portions: of a backlog it may be hundreds of megabytes, once decoded."""

from __future__ import annotations

from typing import Any

import pytest

from streams.stages import portions


class Record:
    def __init__(self, size: int | None) -> None:
        self.value = None if size is None else b"x" * size


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([3, 3, 3, 3], [3, 1]),
        ([5, 5, 1], [2, 1]),
        ([11, 1, 11], [1, 1, 1]),
        ([None, None], [2]),
        ([4], [1]),
    ],
)
def test_a_portion_has_so_many_bytes_or_one_record(sizes: list[int | None], wanted: list[int]) -> None:
    records: list[Any] = [Record(size) for size in sizes]
    found = list(portions.portions(records, 10))
    assert [len(some) for some in found] == wanted
    assert [one for some in found for one in some] == records


def test_portions_of_all_partitions_are_taken_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One alone would run ahead of the others by all that a poll brought."""
    monkeypatch.setattr(portions, "PORTION_BYTES", 10)
    ahead, behind = [Record(10) for _ in range(3)], [Record(10)]
    found = list(portions.in_turn([("a", ahead), ("b", behind)]))
    assert found == [("a", ahead[:1]), ("b", behind[:1]), ("a", ahead[1:2]), ("a", ahead[2:])]
