"""The external sort: complete, in order and numbered, whether or not the rows fit into one run."""

from __future__ import annotations

import random

import pytest

from replay.readers.base import Item
from replay.readers.ordered import in_order
from schemas.records import Reason
from streams.core.usage.decode import Rejection

ROWS = 1000


def items() -> list[Item]:
    """Rows out of order, some equal, some faults, some without a time."""
    rng = random.Random(7)
    made: list[Item] = []
    for row in range(ROWS):
        if rng.random() < 0.05:
            made.append(Item(row=row, fault=Rejection(Reason.NOT_AN_EVENT, "field", f"row {row}")))
            continue
        time = float(rng.randrange(50)) if rng.random() < 0.95 else None
        data = {"value": str(rng.randrange(3)), "Tags": {"row": "x"}, "n": 1}
        event: dict[str, object] = {"id": f"{time}/{data['value']}", "source": "/s", "type": "t", "data": data}
        if time is not None:
            event["time"] = f"t{time}"
        made.append(Item(row=row, event=event, time=time))
    return made


@pytest.mark.parametrize("run", [1, 7, 64, ROWS - 1, ROWS, ROWS + 1])
def test_more_rows_than_a_run_holds_come_out_sorted_and_complete(run: int) -> None:
    found = list(in_order(items(), run))
    assert sorted(item.row for item in found) == list(range(ROWS))
    assert [item.time or 0.0 for item in found] == sorted(item.time or 0.0 for item in found)
    given = {item.row: item for item in items()}
    for item in found:
        was = given[item.row]
        assert (item.fault, item.time) == (was.fault, was.time)
        if item.event is not None and was.event is not None:
            assert str(item.event["id"]).rpartition("-")[0] == was.event["id"]
            assert {**item.event, "id": ""} == {**was.event, "id": "", "specversion": "1.0"}


def test_ids_depend_on_neither_the_run_nor_the_order() -> None:
    ids = [[item.event["id"] for item in in_order(items(), run) if item.event] for run in (7, ROWS + 1)]
    turned = [item.event["id"] for item in in_order(reversed(items()), 7) if item.event]
    assert ids[0] == ids[1] == turned
    assert len(set(turned)) == len(turned)


def test_nothing_of_nothing() -> None:
    assert list(in_order([])) == []
