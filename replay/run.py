"""Replay: the second driver of the core. A history goes through the same objects as the live stages, without a broker.

A file is a source partition, a row an offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from replay.readers import Item
from replay.seen import Seen
from schemas.records import Charge, DeadLetter, Meter, Position, PriceStatus
from schemas.watch import Alert, Finding, Mark
from streams.core.alert import Alerter
from streams.core.charge import Charged, Charger, charge_record
from streams.core.decode import RawRecord, Rejection, dead_letter
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch
from streams.core.roll import Roller
from streams.core.sums import Origin, Tick, Watermark, utc

METERS: tuple[Meter, ...] = ("token_call", "gpu_usage", "line_item")


@dataclass(slots=True)
class Totals:
    """What a replay came to. `effective_cost` per currency; read = charged + duplicates + dead_lettered."""

    events_read: int = 0
    charged: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    unpriced: int = 0
    effective_cost: dict[str, Decimal] = field(default_factory=dict)
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None


class Replay:
    """Takes histories through charge, roll, detect and alert. Feed it, then `finish`."""

    def __init__(self, charger: Charger, roller: Roller, merger: Merger, watch: Watch, alerter: Alerter) -> None:
        self._charger = charger
        self._roller = roller
        self._merger = merger
        self._watch = watch
        self._alerter = alerter
        self._seen = Seen()
        self._taken: dict[str, int] = {}  # the last offset of each file
        self.totals = Totals()
        self.findings: dict[str, Finding] = {}
        self.alerts: dict[str, Alert] = {}

    @property
    def late(self) -> int:
        """Events that came after their window was closed: charged, not watched."""
        return self._roller.late

    def feed(self, item: Item, file: str) -> tuple[list[Charge], list[DeadLetter]]:
        """Take one row in; returns its charges, duplicates removed, and its dead letters."""
        raw = RawRecord(item.raw, (), Position(file, 0, item.row), None)
        charged = self._charger.charge(raw, item.event) if item.fault is None else _refused(raw, item.fault)
        fresh = self._fresh(charged)
        # Rows come in order of time and may hold several events: to the roller the n-th to come is offset n.
        offset = self._taken[file] = self._taken.get(file, -1) + 1
        record = charge_record({"topic": file, "partition": 0, "offset": offset, "charges": fresh})
        self._watch_all(self._roller.add(record))
        return fresh, charged.dead_letters

    def end(self, file: str) -> None:
        """A file is at its end: the windows of the others need not wait for it."""
        for meter in METERS:
            if self._roller.watermark(Origin(file, 0), meter) is not None:
                self._watch_all(self._roller.quiet(Origin(file, 0), meter))

    def finish(self) -> None:
        """The history is over: close every window."""
        self._seen.close()
        self._watch_all(self._roller.flush())
        self._keep(self._alerter.flush(self.totals.last_event_time))

    def _fresh(self, charged: Charged) -> list[Charge]:
        """The charges of events that have not been seen before, as `land` decides it live."""
        totals = self.totals
        totals.events_read += charged.events + len(charged.dead_letters)
        totals.dead_lettered += len(charged.dead_letters)
        fresh: list[Charge] = []
        is_new = True
        for charge in charged.record.charges:
            if charge.part == 0:
                is_new = self._seen.is_new(charge.source, charge.id, charge.time.timestamp())
                totals.charged += is_new
                totals.duplicates += not is_new
            if is_new:
                fresh.append(charge)
                self._count(charge)
        return fresh

    def _count(self, charge: Charge) -> None:
        totals = self.totals
        if charge.part == 0:
            totals.unpriced += charge.price_status is PriceStatus.UNPRICED
            if totals.last_event_time is None or charge.time > totals.last_event_time:
                totals.last_event_time = charge.time
            if totals.first_event_time is None or charge.time < totals.first_event_time:
                totals.first_event_time = charge.time
        if charge.effective_cost is not None:
            so_far = totals.effective_cost.get(charge.currency, Decimal(0))
            totals.effective_cost[charge.currency] = so_far + charge.effective_cost

    def _watch_all(self, said: Iterable[Tick | Watermark]) -> None:
        for one in said:
            if isinstance(one, Tick):
                self._merger.tick(one)
                continue
            for complete in self._merger.watermark(one):
                self._detect(complete)

    def _detect(self, complete: Complete) -> None:
        for finding in self._watch.window(complete):
            self.findings[finding.finding_id] = finding
            self._alerter.finding(finding)
        mark = Mark.model_construct(
            meter=complete.meter, window_seconds=complete.seconds, partition=0, time=utc(complete.end)
        )
        self._keep(self._alerter.mark(mark))

    def _keep(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self.alerts[alert.alert_id] = alert


def _refused(raw: RawRecord, fault: Rejection) -> Charged:
    """What came of a row that its reader could make no event of."""
    position = raw.position
    record = charge_record(
        {"topic": position.topic, "partition": position.partition, "offset": position.offset, "charges": []}
    )
    return Charged(record, [dead_letter(raw, None, fault, {})])
