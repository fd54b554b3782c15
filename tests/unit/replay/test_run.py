"""A replay's own bookkeeping: every charged row is watched too, in whatever order it stands in its file."""

from __future__ import annotations

from decimal import Decimal

from replay.readers import Item
from replay.run import Replay
from schemas.records import Reason
from streams import build
from streams.core.alert import Alerter
from streams.core.detect.merge import Merger
from streams.core.detect.watch import Watch
from streams.core.usage.decode import Rejection
from streams.core.windows.roll import Roller
from streams.core.windows.ticks import Ticks
from streams.settings import Settings


class Counting(Merger):
    """A merger that counts the events of all parts."""

    events = 0
    dollars = Decimal(0)

    def ticks(self, ticks: Ticks) -> None:
        for part in ticks.parts:
            self.events += part.sums.events
            self.dollars += part.sums.usd
        super().ticks(ticks)


def new(settings: Settings) -> tuple[Replay, Counting]:
    merger = Counting(settings.roll.max_cells)
    run = Replay(
        build.charger(settings),
        Roller(build.roll_rules(settings)),
        merger,
        Watch(build.watch_rules(settings)),
        Alerter(build.alert_rules(settings)),
    )
    return run, merger


def line_item(n: int, hour: int) -> dict[str, object]:
    start, end = (f"2026-11-02T{h:02}:00:00Z" for h in (hour, hour + 1))
    data = {
        "BilledCost": "1", "EffectiveCost": "1", "BillingCurrency": "USD", "ChargeCategory": "Usage",
        "ChargePeriodStart": start, "ChargePeriodEnd": end, "ServiceName": "S3",
    }  # fmt: skip
    return {
        "specversion": "1.0", "id": str(n), "source": "/s", "type": "spendstream.line_item.v1", "time": start,
        "data": data,
    }  # fmt: skip


def test_rows_out_of_order_and_several_of_one_row_are_all_watched() -> None:
    """The roller takes an offset that it has passed for a redelivery: rows are not offsets."""
    run, merger = new(Settings())
    rows = 4000
    items = [
        Item(row=(n * 1237) % rows, event=line_item(2 * n + part, n * 20 // rows))  # each once, far out of order
        for n in range(rows)
        for part in range(2)
    ]
    for _ in run.take([*(("bill.csv", item) for item in items), ("bill.csv", None)]):
        pass
    run.finish()
    assert run.totals.charged == 2 * rows
    assert run.late == 0
    assert (merger.events, merger.dollars) == (2 * rows, Decimal(2 * rows))


def test_a_row_that_is_no_event_is_a_dead_letter_with_its_number_and_reason() -> None:
    run, _ = new(Settings())
    item = Item(row=7, fault=Rejection(Reason.NOT_AN_EVENT, "", "the row has 3 cells"))
    charges, (letter,) = run.feed([("b.csv", item)])
    assert not charges.count
    assert (letter.topic, letter.offset, letter.reason) == ("b.csv", 7, Reason.NOT_AN_EVENT)
    assert (run.totals.events_read, run.totals.dead_lettered) == (1, 1)
