"""A moved history is the same history at another time, and another history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replay.readers import Item, read
from replay.readers.ndjson import read as read_lines
from replay.shifting import moved, time_of, timeline
from schemas.events import LineItem, UsageEvent
from streams.commands.common import UserError
from streams.commands.pacing import Pace, Plan, plan_of
from tests.support.examples import FOLDER
from tests.support.reading import taken

HOUR = 3600
BILL = """BilledCost,EffectiveCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ServiceName
0.123456789012345678,1,USD,Usage,2026-10-01 00:00:00,2026-10-01 01:00:00,S3
2,2,USD,Usage,2026-10-03 05:00:00,2026-10-03 06:00:00,S3
1,USD
"""


def call(time: str, name: str = "i") -> dict[str, Any]:
    data = {"provider": "openai", "model": "gpt-4o"}
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/s",
        "type": "spendstream.token_call.v1",
        "time": time,
        "data": data,
    }


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    (tmp_path / "bill.csv").write_text(BILL)
    return tmp_path / "bill.csv"


def event(item: Item) -> UsageEvent:
    found = taken(item)
    assert isinstance(found, UsageEvent)
    return found


def test_all_times_of_a_bill_move_together_and_nothing_else_but_the_id(bill: Path) -> None:
    before = [item for item in read(bill) if item.event]
    for old, new in zip(map(event, before), (event(moved(item, 5 * HOUR)) for item in before), strict=True):
        assert isinstance(old.data, LineItem)
        assert isinstance(new.data, LineItem)
        assert (new.time - old.time).total_seconds() == 5 * HOUR
        assert (new.data.ChargePeriodEnd - old.data.ChargePeriodEnd).total_seconds() == 5 * HOUR
        assert new.data.BilledCost == old.data.BilledCost
        assert new.id == f"{old.id}+18000s"


def test_the_same_move_gives_the_same_events_and_another_move_others(bill: Path) -> None:
    ids = [{event(moved(item, by)).id for item in read(bill) if item.event} for by in (0, 60, 60, -60)]
    assert ids[1] == ids[2]
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[3]


def test_what_stood_as_bytes_moves_too_and_what_is_no_event_stays(tmp_path: Path) -> None:
    lines = [
        json.dumps([call("2026-10-01T00:00:00Z"), 7]),
        json.dumps(call("2026-10-01T02:00:00+02:00")),
        "{no json",
        '"a"',
    ]
    (tmp_path / "e").write_text("\n".join(lines))
    batch, one, bad, text = (moved(item, HOUR) for item in read(tmp_path / "e"))
    assert json.loads(batch.raw or b"") == [call("2026-10-01T01:00:00+00:00", "i+3600s"), 7]
    assert event(one).time.isoformat() == "2026-10-01T01:00:00+00:00"
    assert (bad.raw, text.raw) == (b"{no json", b'"a"')


def test_examples_that_are_refused_are_refused_for_the_same_reason_when_moved() -> None:
    for path in sorted((FOLDER / "invalid").glob("*.json")):
        if "time" in path.name:
            continue  # a time that is out of range may be in it afterwards
        for item in read_lines(path):
            before, after = taken_all(item), taken_all(moved(item, HOUR))
            assert before == after, path.name


def taken_all(item: Item) -> list[str]:
    try:
        found = taken(item)
    except ValueError:  # more than one outcome
        return []
    return [getattr(getattr(found, "reason", None), "value", "event")]


def test_the_timeline_of_a_bill_moves_by_whole_hours(bill: Path) -> None:
    line = timeline(read(bill))
    assert line.items == 3
    assert line.first is not None
    assert line.last is not None
    assert line.last - line.first == 53 * HOUR
    assert line.move(line.first + 2 * HOUR + 59) == 2 * HOUR
    assert time_of(next(iter(read(bill)))) is None  # the row that is none


def test_plans(bill: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "streams.commands.pacing.time.time", lambda: 1_790_812_800.0 + 90 * HOUR
    )  # 90 h after the first
    none = {"to_now": False, "end_now": False, "shift": None, "ahead": 86_400.0}
    assert plan_of(bill, "", **none) == Plan()  # type: ignore[arg-type]
    plan = plan_of(bill, "60x", **(none | {"end_now": True}))  # type: ignore[arg-type]
    # It lasts 53 minutes: it ends then, less a step at most.
    assert (plan.speed, plan.events, plan.shift) == (60.0, 3, (90 - 53) * HOUR)
    with pytest.raises(UserError) as ahead:
        plan_of(bill, "60x", **(none | {"to_now": True}))  # type: ignore[arg-type]
    assert ahead.value.exit_code == 2
    assert plan_of(bill, "1x", **(none | {"to_now": True})).shift == 90 * HOUR  # type: ignore[arg-type]
    for wrong in ("fast", "0x", "-2"):
        with pytest.raises(UserError):
            plan_of(bill, wrong, **none)  # type: ignore[arg-type]


def test_pace() -> None:
    pace = Pace(Plan(speed=60.0, first=1000.0), begun=5.0)
    assert pace.pause(1000.0, 5.0) == 0
    assert pace.pause(1600.0, 6.0) == 9.0  # ten minutes are ten seconds
    assert pace.pause(1600.0, 99.0) == 0
    assert pace.pause(None, 5.0) == 0
    assert Pace(Plan(), 5.0).pause(9e9, 5.0) == 0
