"""Windows: what closes when, what is counted once, and that a restart or another partitioning changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import GPU_USAGE, LINE_ITEM, TOKEN_CALL
from schemas.records import Charge, PriceStatus
from schemas.topics import CHARGES
from schemas.watch import SUMS
from schemas.watch import Ticks as TicksContract
from schemas.watch import Watermark as WatermarkContract
from streams.core.columns.block import Block
from streams.core.columns.dealing import Dealer
from streams.core.columns.packed import CaughtUp, ChargeBatch, pulse
from streams.core.detect.merge import Complete, Merger
from streams.core.windows.merging import Book
from streams.core.windows.roll import Roller, RollRules
from streams.core.windows.state import FLOOD
from streams.core.windows.sums import Sums, Window
from streams.core.windows.ticks import Origin, Ticks, Watermark
from streams.core.windows.ticks_json import Writer, from_json, watermark_to_json
from tests.support.records import batch

FORMATS = Path(__file__).parents[3] / "support" / "formats"
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


def ticks(said: Iterable[Ticks | Watermark]) -> list[Ticks]:
    return [one for one in said if isinstance(one, Ticks)]


def windows(said: Iterable[Ticks | Watermark]) -> list[Window]:
    """The series of each window that was told."""
    book = Book()
    return [
        window
        for one in ticks(said)
        for window in book.windows(one.meter, one.seconds, one.start, book.merged([one.parts]), 24).values()
    ]


def everything(said: Iterable[Ticks | Watermark]) -> list[Window]:
    return [window for window in windows(said) if window.series == ()]


def total(said: Iterable[Ticks | Watermark]) -> list[tuple[int, Decimal]]:
    """Start (seconds after START) and dollars of the windows of everything."""
    base = int(START.timestamp())
    return [(window.start - base, window.sums.usd) for window in everything(said)]


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
    sums = {window.series: window.sums.usd for window in windows(said) if window.start == START.timestamp()}
    assert sums[()] == 2
    assert sums[("team", "u"),] == 1
    assert sums[("model", "m"), ("team", "u")] == 1
    assert sum(cell.usd for _, cell in everything(said)[0].cells) == 2


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
    days = [window for window in everything(roller.flush()) if window.seconds == 86_400]
    assert [window.sums.usd for window in days] == [Decimal(1)]


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


def test_an_event_that_comes_late_through_one_partition_still_counts_when_it_comes_in_time_through_another() -> None:
    roller = Roller(RULES)
    for partition in (0, 1):
        roller.expect(Origin("usage.token-calls", partition), "token_call")
    same = charge(1, id="same")
    roller.add(record(0, charge(30), partition=1), record(1, same, partition=1))
    assert roller.late == 1
    roller.add(record(0, same), record(1, same))
    roller.add(record(2, same, partition=1))  # late, and known: counted a duplicate
    assert (roller.late, roller.duplicates) == (1, 2)
    assert total(roller.flush())[0] == (0, Decimal(1))


def test_the_same_event_counts_once_through_several_partitions() -> None:
    roller = Roller(RULES)
    same = [charge(at, id=f"same-{at}") for at in range(5)]
    roller.add(record(0, *same), record(0, *same, partition=1))
    roller.add(record(7, *same, partition=2))
    assert total(roller.flush()) == [(0, Decimal(5))]
    assert roller.duplicates == 10


def test_a_window_waits_for_every_source_partition_that_may_speak() -> None:
    roller = Roller(RULES)
    for partition in range(3):
        roller.expect(Origin("usage.token-calls", partition), "token_call")
    assert not roller.add(record(0, charge(1)), record(1, charge(30)))
    assert not roller.add(record(0, charge(2), partition=1), record(1, charge(31), partition=1))
    said = roller.quiet(Origin("usage.token-calls", 2), "token_call")
    assert total(said) == [(0, Decimal(2))]
    assert said[-1] == Watermark("token_call", 10, Origin(CHARGES.name, 0), int(START.timestamp()) + 20)


def test_who_was_silent_and_speaks_again_is_waited_for_again() -> None:
    roller, other = Roller(RULES), Origin("usage.token-calls", 1)
    roller.add(record(0, charge(1)), record(0, charge(2), partition=1))
    roller.quiet(other, "token_call")
    assert total(roller.add(record(1, charge(30)))) == [(0, Decimal(2))]
    roller.add(record(1, charge(33), partition=1))
    assert total(roller.add(record(2, charge(60)))) == []
    assert total(roller.add(record(2, charge(61), partition=1))) == [(30, Decimal(2))]
    assert roller.late == 0


def test_all_silent_is_said_and_taken_back() -> None:
    roller = Roller(RULES)
    roller.add(record(0, charge(1)))
    (*_, silent) = roller.quiet(Origin("usage.token-calls", 0), "token_call")
    assert isinstance(silent, Watermark)
    assert silent.idle
    (again,) = roller.add(record(1, charge(11)))
    assert again == Watermark("token_call", 10, Origin(CHARGES.name, 0), int(START.timestamp()) + 10)


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
    (window,) = everything(roller.flush())
    assert window.sums.usd == 0
    assert window.sums.at_risk_usd == 3
    assert window.sums.unpriced_events == 1


def test_idle_dollars_of_a_gpu() -> None:
    roller = Roller(RULES)
    gpu = {"type": GPU_USAGE, "gpu_minutes": Decimal(8), "cluster": "c", "utilization": 0.25}
    roller.add(record(0, charge(1, **gpu), topic="usage.gpu"))
    (window,) = everything(roller.flush())
    assert (window.meter, window.seconds) == ("gpu_usage", 60)
    assert window.sums.idle_usd == Decimal("0.75")


@pytest.mark.parametrize(("hours", "seconds"), [(1, 3600), (24, 86_400)])
def test_a_line_item_is_watched_by_its_own_charge_period(hours: int, seconds: int) -> None:
    roller = Roller(RULES)
    period = {"type": LINE_ITEM, "period_start": START, "period_end": START + timedelta(hours=hours)}
    roller.add(record(0, charge(hours * 3600, **period), topic="usage.line-items"))
    (window,) = everything(roller.flush())
    assert (window.start, window.seconds) == (int(START.timestamp()), seconds)


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
    aligned = {window.end: window.aligned for window in everything(said)}
    base = int(START.timestamp())
    assert aligned == {base + 60: {60: 1}, base + 300: {60: 1, 300: 1}, base + 310: {}}


def test_a_flood_of_keys_stays_bounded() -> None:
    few = RollRules(windows=RULES.windows, graces=RULES.graces, series=((), ("principal",)), max_leaves=10)
    roller = Roller(few)
    roller.add(record(0, *(charge(1, id=str(n), principal=f"k{n}") for n in range(100))))
    sums = {window.series: window.sums.usd for window in windows(roller.flush())}
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
        if isinstance(one, Ticks):
            ((_, packed),) = Writer().records(one)
            value = Writer().whole(one)
            assert len(packed) < len(value)
            assert from_json(packed) == [one]
            contract = TicksContract.model_validate_json(value)
            usd = [Decimal(units).scaleb(-contract.places["usd"]) for units in contract.sums["usd"]]
            assert usd == [part.sums.usd for part in one.parts]
            assert [part.split("|")[1:] for part in contract.parts] == [list(part.name.leaf) for part in one.parts]
            assert contract.window_start.timestamp() == one.start
            assert from_json(value) == [one]
        else:
            value = watermark_to_json(one)
            assert WatermarkContract.model_validate_json(value).time.timestamp() == one.time
            assert from_json(value) == one


def test_the_sums_on_the_wire_are_in_the_order_of_the_contract() -> None:
    assert [field.name for field in fields(Sums)] == list(SUMS)


def caught_up(at: float) -> ChargeBatch:
    """The pulse of the source partition: it was read to its end `at` seconds after START."""
    return pulse(CaughtUp("usage.token-calls", 0, START + timedelta(seconds=at)))


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
    said: list[Ticks | Watermark] = []
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


@dataclass
class Pipeline:
    """Source partitions whose charges are dealt as `price` does, rolled and merged; `out` is what is complete."""

    sources: int
    partitions: int
    batch: int  # charges in a record

    def __post_init__(self) -> None:
        self.dealer = Dealer(self.partitions)
        self.rollers = [Roller(RULES, partition) for partition in range(self.partitions)]
        self.merger = Merger()
        self.out: list[Complete] = []
        self.waiting: list[list[Charge]] = [[] for _ in range(self.sources)]
        self.offsets = [0] * self.sources
        for partition, roller in enumerate(self.rollers):
            self.merger.expect("token_call", 10, Origin(CHARGES.name, partition))
            for source in range(self.sources):
                roller.expect(Origin("usage.token-calls", source), "token_call")

    def put(self, source: int, one: Charge) -> None:
        self.waiting[source].append(one)
        if len(self.waiting[source]) >= self.batch:
            self.send(source)

    def send(self, source: int) -> None:
        given = record(self.offsets[source], *self.waiting[source], partition=source)
        for partition, dealt in self.dealer.deal(given):
            self._merge(self.rollers[partition].add(dealt))
        self.offsets[source] += 1
        self.waiting[source].clear()

    def end(self) -> None:
        for source in range(self.sources):
            self.send(source)
            for roller in self.rollers:
                self._merge(roller.quiet(Origin("usage.token-calls", source), "token_call"))

    def _merge(self, said: Iterable[Ticks | Watermark]) -> None:
        for one in said:
            if isinstance(one, Ticks):
                self.merger.ticks(one)
            else:
                self.out += self.merger.watermark(one)


def completes(
    events: Sequence[tuple[int, str, int]], pipeline: Pipeline, copies: Sequence[tuple[int, int]] = ()
) -> list[Complete]:
    """The events dealt to source partitions by key. Of `copies` each sends an event, by number, to a source again."""
    for number, (at, key, cents) in enumerate(events):
        again = [source % pipeline.sources for copied, source in copies if copied % len(events) == number]
        one = charge(at, id=str(number), principal=key, effective_cost_usd=Decimal(cents) / 100)
        for source in (ord(key) % pipeline.sources, *again):
            pipeline.put(source, one)
    pipeline.end()
    return pipeline.out


def plain(found: list[Complete]) -> list[Any]:
    return [
        (one.start, key, window.sums, sorted(window.cells, key=lambda cell: cell[0]), window.aligned)
        for one in found
        for key, window in one.windows.items()
    ]


COPIES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=20)


@settings(deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), COPIES)
def test_partitioning_batch_size_and_copies_through_any_partition_change_nothing(
    events: list[tuple[int, str, int]], sources: int, partitions: int, batch: int, copies: list[tuple[int, int]]
) -> None:
    events = sorted(events)
    assert plain(completes(events, Pipeline(sources, partitions, batch), copies)) == plain(
        completes(events, Pipeline(1, 1, 1))
    )


@settings(deadline=None)
@given(EVENTS, COPIES)
def test_dollars_in_are_dollars_out(events: list[tuple[int, str, int]], copies: list[tuple[int, int]]) -> None:
    found = completes(sorted(events), Pipeline(3, 2, 2), copies)
    usd = sum((window.sums.usd for one in found for key, window in one.windows.items() if key == ()), Decimal(0))
    assert usd == sum(Decimal(cents) for _, _, cents in events) / 100


@settings(deadline=None)
@given(EVENTS, st.integers(1, 20))
def test_records_together_close_the_same_windows_as_one_by_one(events: list[tuple[int, str, int]], some: int) -> None:
    """Late ones, copies and two source partitions among them: what is counted may not hang on how much is read."""
    records = [
        record(number, charge(at, id=f"{key}-{cents % 5}-{at}", principal=key), partition=ord(key) % 2)
        for number, (at, key, cents) in enumerate(events)
    ]
    alone, together = Roller(RULES), Roller(RULES)
    one_by_one = [said for one in records for said in alone.add(one)] + alone.flush()
    in_rows = [records[at : at + some] for at in range(0, len(records), some)]
    assert ticks([said for row in in_rows for said in together.add(*row)] + together.flush()) == ticks(one_by_one)
    assert (together.late, together.duplicates) == (alone.late, alone.duplicates)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.randoms(use_true_random=False))
def test_what_price_delivers_again_or_out_of_order_is_taken_once(count: int, partitions: int, chance: Random) -> None:
    """By its place alone: nothing is known of identities here. The source partition goes from one worker to another and
    back; a batch that follows another may arrive before it.
    """
    rollers = [Roller(replace(RULES, dedup_seconds=0), partition) for partition in range(partitions)]
    workers = [Dealer(partitions) for _ in range(2)]

    def deliver(first: int, last: int, *, whole: bool) -> None:
        """A worker reads from the record `first` on; unless it is the whole, some of what it sent does not arrive."""
        dealer, at = chance.choice([*workers, Dealer(partitions)]), first
        sent: list[list[ChargeBatch]] = [[] for _ in range(partitions)]
        while at <= last:
            upto = min(last, at + chance.randint(0, 4))
            events = [(n, f"{n}-{m}") for n in range(at, upto + 1) for m in range(n % 3)]
            block = Block.of([charge(1, id=name) for _, name in events], [n for n, _ in events])
            for partition, dealt in dealer.deal(ChargeBatch("usage.token-calls", 0, at, upto, block)):
                sent[partition].append(dealt)
            at = upto + 1
        for roller, batches in zip(rollers, sent, strict=True):
            for number in range(2, len(batches), 2):  # the very first of all may not be overtaken
                if chance.random() < 0.5:
                    batches[number - 1], batches[number] = batches[number], batches[number - 1]
            for one in batches[: None if whole else chance.randint(0, len(batches))]:
                roller.add(one)

    confirmed = -1
    for _ in range(chance.randint(0, 4)):
        last, whole = chance.randint(min(confirmed + 1, count), count), chance.random() < 0.5
        deliver(chance.randint(0, confirmed + 1), last, whole=whole)
        confirmed = last if whole else confirmed
    deliver(chance.randint(0, confirmed + 1), count, whole=True)
    said = [one for roller in rollers for one in roller.flush()]
    assert sum(usd for _, usd in total(said)) == sum(number % 3 for number in range(count + 1))


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
    said: list[Ticks | Watermark] = []
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
            if isinstance(one, Ticks):
                merger.ticks(one)
            else:
                into.extend(merger.watermark(one))
    assert plain(out[0]) == plain(out[1])


def test_a_state_in_which_source_partitions_had_windows_of_their_own_is_gone_on_with() -> None:
    """Written by the release before. Its worker died, having told more than the state says: that is told anew, once."""
    written = json.loads((FORMATS / "by-source" / "roll-2.json").read_text())
    sources = [Origin("usage.token-calls", partition) for partition in (0, 4)]
    roller, merger = Roller(RULES), Merger()
    roller.restore(written["state"])
    roller.restore(json.loads(json.dumps(roller.snapshot())))  # it may die again before it has said so
    merger.expect("token_call", 10, Origin(CHARGES.name, 0))
    for text in written["told_before"] + written["told_after"]:
        told = from_json(text.encode())
        assert isinstance(told, list)
        for ticks_of_one in told:
            assert ticks_of_one.origin in sources
            merger.ticks(ticks_of_one)
    again = charge(1.5, id="copied")
    said = roller.add(record(2, charge(23)), record(1, again, charge(24), partition=4))
    over = [one for one in said if isinstance(one, Watermark) and one.over]
    assert {(one.origin, one.time - int(START.timestamp())) for one in over} == {(sources[0], 10), (sources[1], 0)}
    found: list[Complete] = []
    for one in said + roller.flush():
        if isinstance(one, Ticks):
            merger.ticks(one)
        else:
            found += merger.watermark(one)
    usd = {one.start - int(START.timestamp()): one.windows[()].sums.usd for one in found}
    assert usd == {0: Decimal(4), 10: Decimal(1), 20: Decimal(2)}


def said_of(found: Iterable[Window]) -> list[Any]:
    """As `by-part/windows-3.json` has it."""
    return [
        [one.start, [list(pair) for pair in one.series], [Decimal(sum_of) for sum_of in one.sums.to_wire()],
         {str(step): count for step, count in one.aligned.items()}]
        for one in found
    ]  # fmt: skip


def recorded(name: str) -> Any:
    """What the release that had no columns in its states and ticks wrote, sums as decimals."""
    found = json.loads((FORMATS / "by-part" / "windows-3.json").read_text())[name]
    if name in ("open", "waiting"):
        return [[start, series, list(map(Decimal, sums)), aligned] for start, series, sums, aligned in found]
    return found


def test_what_stood_in_a_state_and_on_the_topic_before_sums_went_by_column_comes_to_the_same() -> None:
    """Among them 18 decimals, more dollars than 64 bits hold, and values with the separators of today in them."""
    roller, waiting, told = Roller(RULES), Merger(), Merger()
    roller.restore(recorded("state"))
    roller.restore(json.loads(json.dumps(roller.snapshot())))
    assert said_of(windows(roller.flush())) == recorded("open")
    for text in recorded("told"):
        stood = from_json(text.encode())
        assert isinstance(stood, list)
        for one in stood:
            told.ticks(one)
    waiting.restore(recorded("merger"))
    for merger in (waiting, told):
        again = Merger()
        again.restore(json.loads(json.dumps(merger.snapshot())))
        found = again.watermark(Watermark("token_call", 10, Origin(CHARGES.name, 0), int(START.timestamp()) + 50))
        found += again.watermark(Watermark("token_call", 10, Origin(CHARGES.name, 1), int(START.timestamp()) + 50))
        assert said_of(window for one in found for window in one.windows.values()) == recorded("waiting")


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 5"):
        Roller(RULES).restore({"version": 5})
    with pytest.raises(ValueError, match="version None"):
        Merger().restore({})
