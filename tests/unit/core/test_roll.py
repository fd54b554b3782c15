"""Windows: what closes when, what is counted once, and that a restart or another partitioning changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import GPU_USAGE, LINE_ITEM, TOKEN_CALL
from schemas.records import Charge, PriceStatus
from schemas.watch import SUMS
from schemas.watch import Ticks as TicksContract
from schemas.watch import Watermark as WatermarkContract
from streams.core.detect.merge import Complete, Merger
from streams.core.packed import ChargeBatch, pulse
from streams.core.roll import FLOOD, Roller, RollRules
from streams.core.sums import Origin, Sums, Tick, Watermark, from_json, ticks_to_json, watermark_to_json
from tests.support.records import batch

START = datetime(2026, 11, 2, tzinfo=UTC)
RULES = RollRules(
    windows={"token_call": 10, "gpu_usage": 60},
    graces={"token_call": 2.0, "gpu_usage": 5.0, "line_item": 0.0},
    series=((), ("team",), ("principal",), ("team", "model")),
)


def charge(at: float, **over: Any) -> Charge:
    """A charge of 1 USD `at` seconds after START."""
    time = START + timedelta(seconds=at)
    values: dict[str, Any] = {
        "source": "/gw", "id": f"e-{at}", "type": TOKEN_CALL, "time": time, "received_at": time, "period_start": time,
        "period_end": time, "model": "m", "team": "t", "principal": "k", "requests": 1, "input_tokens": 10,
        "effective_cost": Decimal(1), "effective_cost_usd": Decimal(1), "price_status": PriceStatus.PRICED,
        "allocation": "tags",
    }  # fmt: skip
    return Charge(**(values | over))


def record(offset: int, *charges: Charge, partition: int = 0, topic: str = "usage.token-calls") -> ChargeBatch:
    return batch(*charges, offset=offset, partition=partition, topic=topic)


def ticks(said: Iterable[Tick | Watermark]) -> list[Tick]:
    return [one for one in said if isinstance(one, Tick)]


def total(said: Iterable[Tick | Watermark]) -> list[tuple[int, Decimal]]:
    """Start (seconds after START) and dollars of the windows of everything."""
    base = int(START.timestamp())
    return [(one.window.start - base, one.window.sums.usd) for one in ticks(said) if one.window.series == ()]


def test_a_window_closes_when_the_watermark_passes_its_end_and_the_grace() -> None:
    roller = Roller(RULES)
    assert not ticks(roller.add(record(0, charge(1), charge(9.9))))
    assert not ticks(roller.add(record(1, charge(11.9))))
    assert total(roller.add(record(2, charge(12.0)))) == [(0, Decimal(2))]


def test_a_watermark_follows_the_ticks_it_speaks_of() -> None:
    roller = Roller(RULES)
    said = roller.add(record(0, charge(1))) + roller.add(record(1, charge(25)))
    assert isinstance(said[-1], Watermark)
    assert said[-1].time == int(START.timestamp()) + 20


def test_each_series_gets_its_sums_and_cells() -> None:
    roller = Roller(RULES)
    said = roller.add(record(0, charge(1), charge(2, team="u", principal="l"), charge(30)))
    sums = {one.window.series: one.window.sums.usd for one in ticks(said) if one.window.start == START.timestamp()}
    assert sums[()] == 2
    assert sums[("team", "u"),] == 1
    assert sums[("model", "m"), ("team", "u")] == 1
    everything = next(one for one in ticks(said) if one.window.series == ())
    assert sum(cell.usd for _, cell in everything.window.cells) == 2


def test_a_redelivered_record_adds_nothing() -> None:
    roller = Roller(RULES)
    roller.add(record(5, charge(1)))
    roller.add(record(5, charge(1)))
    assert total(roller.flush()) == [(0, Decimal(1))]


def test_a_redelivered_record_adds_nothing_although_its_events_are_forgotten() -> None:
    """An item of a day stands in an open window for longer than identities are remembered: its offset is known."""
    roller = Roller(RULES)
    day = {"type": LINE_ITEM, "period_start": START, "period_end": START + timedelta(days=1)}
    first = record(0, charge(1, **day), topic="usage.line-items")
    roller.add(first)
    for hour in range(1, 6):
        period = {"type": LINE_ITEM, "period_start": START + timedelta(hours=hour),
                  "period_end": START + timedelta(hours=hour + 1)}  # fmt: skip
        roller.add(record(hour, charge(3600 * hour, **period), topic="usage.line-items"))
    roller.add(first)
    days = [one for one in ticks(roller.flush()) if one.window.seconds == 86_400 and one.window.series == ()]
    assert [one.window.sums.usd for one in days] == [Decimal(1)]


def test_a_record_that_was_overtaken_is_still_taken_once() -> None:
    roller = Roller(RULES)
    for offset in (5, 9, 7, 7, 9, 8):
        roller.add(record(offset, charge(offset)))
    assert total(roller.flush()) == [(0, Decimal(4))]


def test_the_same_event_counts_once_within_the_horizon() -> None:
    roller = Roller(RULES)
    same = charge(1, id="same")
    roller.add(record(0, same, same))
    roller.add(record(1, same))
    assert total(roller.flush()) == [(0, Decimal(1))]
    assert roller.duplicates == 2


def test_the_parts_of_a_split_event_all_count() -> None:
    roller = Roller(RULES)
    parts = [charge(1, id="s", part=n, parts=2, team=team) for n, team in enumerate(("a", "b"))]
    roller.add(record(0, *parts))
    roller.add(record(1, *parts))
    assert total(roller.flush()) == [(0, Decimal(2))]


def test_a_late_event_is_counted_late_and_not_watched() -> None:
    roller = Roller(RULES)
    roller.add(record(0, charge(1)))
    roller.add(record(1, charge(30)))
    assert not ticks(roller.add(record(2, charge(2))))
    assert roller.late == 1


def test_unpriced_adds_risk_and_no_dollars() -> None:
    roller = Roller(RULES)
    unknown = charge(1, effective_cost_usd=None, price_status=PriceStatus.UNPRICED, estimated_cost=Decimal(3))
    roller.add(record(0, unknown))
    everything = next(one for one in ticks(roller.flush()) if one.window.series == ())
    assert everything.window.sums.usd == 0
    assert everything.window.sums.at_risk_usd == 3
    assert everything.window.sums.unpriced_events == 1


def test_idle_dollars_of_a_gpu() -> None:
    roller = Roller(RULES)
    gpu = {"type": GPU_USAGE, "gpu_minutes": Decimal(8), "cluster": "c", "utilization": 0.25}
    roller.add(record(0, charge(1, **gpu), topic="usage.gpu"))
    everything = next(one for one in ticks(roller.flush()) if one.window.series == ())
    assert (everything.window.meter, everything.window.seconds) == ("gpu_usage", 60)
    assert everything.window.sums.idle_usd == Decimal("0.75")


@pytest.mark.parametrize(("hours", "seconds"), [(1, 3600), (24, 86_400)])
def test_a_line_item_is_watched_by_its_own_charge_period(hours: int, seconds: int) -> None:
    roller = Roller(RULES)
    period = {"type": LINE_ITEM, "period_start": START, "period_end": START + timedelta(hours=hours)}
    roller.add(record(0, charge(hours * 3600, **period), topic="usage.line-items"))
    (tick,) = (one for one in ticks(roller.flush()) if one.window.series == ())
    assert (tick.window.start, tick.window.seconds) == (int(START.timestamp()), seconds)


def test_all_items_of_an_hour_are_in_its_window_whatever_their_number() -> None:
    roller = Roller(RULES)
    period = {"type": LINE_ITEM, "period_start": START, "period_end": START + timedelta(hours=1)}
    for offset in range(3):
        roller.add(record(offset, charge(3600, id=f"l{offset}", **period), topic="usage.line-items"))
    assert total(roller.flush()) == [(0, Decimal(3))]
    assert roller.late == 0


def test_a_charge_for_a_month_is_not_watched() -> None:
    roller = Roller(RULES)
    month = {"type": LINE_ITEM, "period_start": START, "period_end": START + timedelta(days=30)}
    roller.add(record(0, charge(1, **month), topic="usage.line-items"))
    assert not ticks(roller.flush())


def test_events_at_bucket_ends_are_counted_as_such() -> None:
    roller = Roller(RULES)
    said = roller.add(record(0, charge(59.999), charge(299.999, id="five"), charge(301.5, id="call")))
    said += roller.flush()
    aligned = {one.window.end: one.window.aligned for one in ticks(said) if one.window.series == ()}
    base = int(START.timestamp())
    assert aligned == {base + 60: {60: 1}, base + 300: {60: 1, 300: 1}, base + 310: {}}


def test_a_flood_of_keys_stays_bounded() -> None:
    few = RollRules(windows=RULES.windows, graces=RULES.graces, series=((), ("principal",)), max_leaves=10)
    roller = Roller(few)
    roller.add(record(0, *(charge(1, id=str(n), principal=f"k{n}") for n in range(100))))
    sums = {one.window.series: one.window.sums.usd for one in ticks(roller.flush())}
    assert sums[()] == 100
    assert sums[("principal", FLOOD),] == 90
    assert len(sums) == 12


def test_silence_closes_what_is_open_and_says_so() -> None:
    roller = Roller(RULES)
    roller.add(record(0, charge(1)))
    said = roller.quiet(Origin("usage.token-calls", 0), "token_call")
    assert total(said) == [(0, Decimal(1))]
    assert isinstance(said[-1], Watermark)
    assert said[-1].idle


def test_what_goes_to_kafka_is_what_the_contract_says() -> None:
    roller = Roller(RULES)
    for one in roller.add(record(0, charge(59.999), charge(100))) + roller.flush():
        if isinstance(one, Tick):
            value = ticks_to_json([one])
            contract = TicksContract.model_validate_json(value)
            (tick,) = contract.ticks
            assert Decimal(tick.sums[SUMS.index("usd")]) == one.window.sums.usd
            assert contract.window_start.timestamp() == one.window.start
            assert from_json(value) == [one]
        else:
            value = watermark_to_json(one)
            assert WatermarkContract.model_validate_json(value).time.timestamp() == one.time
            assert from_json(value) == one


def test_the_sums_on_the_wire_are_in_the_order_of_the_contract() -> None:
    assert [field.name for field in fields(Sums)] == list(SUMS)


def caught_up(at: float) -> ChargeBatch:
    """The pulse of the source partition: it was read to its end `at` seconds after START."""
    return pulse("usage.token-calls", 0, START + timedelta(seconds=at))


def test_near_to_now_windows_close_by_the_clock_once_the_source_is_read_to_its_end() -> None:
    roller = Roller(RULES)
    roller.add(record(0, charge(1)))
    roller.add(caught_up(2))
    assert not ticks(roller.add(caught_up(12.2)))  # 10 s, 2 s of grace, a quarter of slack
    assert total(roller.add(caught_up(12.25))) == [(0, Decimal(1))]
    assert total(roller.add(record(1, charge(14)))) == []  # and it goes on
    assert roller.late == 0


def test_without_a_pulse_no_clock_closes_anything() -> None:
    roller = Roller(RULES)
    roller.add(record(0, charge(1)))
    assert total(roller.add(record(1, charge(2)))) == []


def test_a_history_is_over_once_its_source_has_been_silent_for_long() -> None:
    roller = Roller(RULES)
    day = timedelta(days=1)
    roller.add(record(0, charge(1, received_at=START + day)))
    assert not roller.add(caught_up(day.total_seconds() + 1))
    assert not roller.add(caught_up(day.total_seconds() + 9))
    said = roller.add(caught_up(day.total_seconds() + 10))
    assert total(said) == [(0, Decimal(1))]
    assert isinstance(said[-1], Watermark)
    assert said[-1].idle
    assert roller.all_quiet()
    assert not roller.add(caught_up(day.total_seconds() + 20))  # said once
    roller.add(record(1, charge(20, received_at=START + day)))
    assert not roller.all_quiet()


@pytest.mark.parametrize("ahead", [0, 0.7, 2, 20, 250, 600, 86_400])
def test_a_clock_that_is_ahead_closes_no_window_whose_events_are_on_their_way(ahead: float) -> None:
    """`price` may run on a machine with a wrong clock: what is watched is the same, to the second."""
    roller = Roller(RULES)
    said: list[Tick | Watermark] = []
    for second in range(60):
        said += roller.add(record(second, charge(second)))
        said += roller.add(caught_up(second + 0.5 + ahead))
    assert total(said) == [(start, Decimal(10)) for start in (0, 10, 20, 30, 40)]
    for second in range(60, 64):
        said += roller.add(caught_up(second + 0.5 + ahead))
    assert total(said)[5:] == [(50, Decimal(10))]  # and silence still closes what is left
    assert roller.late == 0


def test_a_source_that_never_spoke_is_not_waited_for_for_ever() -> None:
    roller = Roller(RULES)
    assert not roller.add(caught_up(0))
    (said,) = roller.add(caught_up(10))
    assert isinstance(said, Watermark)
    assert said.idle


# Properties. Times are shuffled by less than the grace, as a stream is; what is late beyond it is late anywhere.

EVENTS = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from(["a", "b", "c"]), st.integers(0, 50)), min_size=1, max_size=60
)


def completes(events: Sequence[tuple[int, str, int]], partitions: int, batch: int) -> list[Complete]:
    """The events through rollers and a merger, dealt to partitions by key and to records by number."""
    rollers = [Roller(RULES) for _ in range(partitions)]
    merger = Merger()
    out: list[Complete] = []
    waiting: list[list[Charge]] = [[] for _ in range(partitions)]
    offsets = [0] * partitions

    def take(said: Iterable[Tick | Watermark]) -> None:
        for one in said:
            if isinstance(one, Tick):
                merger.tick(one)
            else:
                out.extend(merger.watermark(one))

    def send(partition: int) -> None:
        take(rollers[partition].add(record(offsets[partition], *waiting[partition], partition=partition)))
        offsets[partition] += 1
        waiting[partition].clear()

    for partition in range(partitions):
        merger.expect("token_call", 10, Origin("usage.token-calls", partition))
    for number, (at, key, cents) in enumerate(events):
        usd = Decimal(cents) / 100
        partition = ord(key) % partitions
        waiting[partition].append(charge(at, id=str(number), principal=key, effective_cost_usd=usd))
        if len(waiting[partition]) >= batch:
            send(partition)
    for partition in range(partitions):
        send(partition)
        take(rollers[partition].quiet(Origin("usage.token-calls", partition), "token_call"))
    return out


def plain(found: list[Complete]) -> list[Any]:
    return [
        (one.start, key, window.sums, sorted(window.cells, key=lambda cell: cell[0]), window.aligned)
        for one in found
        for key, window in one.windows.items()
    ]


@settings(deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(1, 5))
def test_partitioning_and_batch_size_change_nothing(
    events: list[tuple[int, str, int]], partitions: int, batch: int
) -> None:
    events = sorted(events)
    assert plain(completes(events, partitions, batch)) == plain(completes(events, 1, 1))


@settings(deadline=None)
@given(EVENTS)
def test_dollars_in_are_dollars_out(events: list[tuple[int, str, int]]) -> None:
    found = completes(sorted(events), 3, 2)
    usd = sum((window.sums.usd for one in found for key, window in one.windows.items() if key == ()), Decimal(0))
    assert usd == sum(Decimal(cents) for _, _, cents in events) / 100


@settings(deadline=None)
@given(EVENTS, st.integers(0, 60))
def test_a_restart_from_a_snapshot_changes_nothing(events: list[tuple[int, str, int]], cut: int) -> None:
    events = sorted(events)
    records = [record(n, charge(at, id=str(n), principal=key)) for n, (at, key, _) in enumerate(events)]
    straight, first = Roller(RULES), Roller(RULES)
    expected = [one for r in records for one in straight.add(r)] + straight.flush()
    got = [one for r in records[:cut] for one in first.add(r)]
    second = Roller(RULES)
    second.restore(json.loads(json.dumps(first.snapshot())))
    got += [one for r in records[max(0, cut - 3) :] for one in second.add(r)] + second.flush()  # three come again
    assert got == expected


@settings(deadline=None)
@given(EVENTS, st.integers(0, 100))
def test_a_merger_restored_from_a_snapshot_goes_on_the_same(events: list[tuple[int, str, int]], cut: int) -> None:
    roller = Roller(RULES)
    said: list[Tick | Watermark] = []
    for n, (at, key, _) in enumerate(sorted(events)):
        said += roller.add(record(n, charge(at, id=str(n), principal=key)))
    said += roller.flush()
    straight, second = Merger(), Merger()
    out: tuple[list[Complete], list[Complete]] = ([], [])
    for number, one in enumerate(said):
        if number == cut:
            restored = Merger()
            restored.restore(json.loads(json.dumps(second.snapshot())))
            second = restored
        for merger, into in ((straight, out[0]), (second, out[1])):
            if isinstance(one, Tick):
                merger.tick(one)
            else:
                into.extend(merger.watermark(one))
    assert plain(out[0]) == plain(out[1])


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 3"):
        Roller(RULES).restore({"version": 3})
    with pytest.raises(ValueError, match="version None"):
        Merger().restore({})
