"""Replay: the second driver of the core. A history goes through the same objects as the live stages, without a broker.

A file is a source partition, a row an offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import IO, Any

import numpy as np
import pyarrow as pa

from replay.readers import Item
from replay.seen import Seen
from schemas.base import plain_decimal
from schemas.records import METER_BY_TYPE, DeadLetter, Meter, Position, PriceStatus
from schemas.watch import Alert, Finding, Mark
from streams.core.alert import Alerter
from streams.core.columns.amounts import amount, sums
from streams.core.columns.block import Block, moment
from streams.core.columns.packed import ChargeBatch
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch
from streams.core.usage.charge import Charged, Charger
from streams.core.usage.decode import RawRecord
from streams.core.usage.sheet import Sheet
from streams.core.windows.roll import Roller
from streams.core.windows.sums import utc
from streams.core.windows.ticks import Origin, Ticks, Watermark

BATCH_ROWS = 2_000  # taken in together
HOUR_MICROS = 3_600_000_000
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
        self.pieces = 0  # of those that `take` was given, how many are taken in
        self.totals = Totals()
        self.findings: dict[str, Finding] = {}
        self.alerts: dict[str, Alert] = {}

    @property
    def late(self) -> int:
        """Events that came after their window was closed: charged, not watched."""
        return self._roller.late

    def take(self, rows: Iterable[tuple[str, Sheet | Item | None]]) -> Iterator[tuple[Block, list[DeadLetter]]]:
        """Take in rows, each with its file, some thousand at a time; None says that a file is at its end."""
        waiting: list[tuple[str, Item]] = []
        for file, piece in rows:
            if waiting and (not isinstance(piece, Item) or len(waiting) >= BATCH_ROWS):
                yield self._fed(waiting)
                waiting = []
            if isinstance(piece, Item):
                waiting.append((file, piece))
                continue
            self.pieces += 1
            if piece is None:
                self.end(file)
            else:
                yield self.feed_sheet(file, piece)
        if waiting:
            yield self._fed(waiting)

    def _fed(self, rows: Sequence[tuple[str, Item]]) -> tuple[Block, list[DeadLetter]]:
        self.pieces += len(rows)
        return self.feed(rows)

    def feed(self, rows: Sequence[tuple[str, Item]]) -> tuple[Block, list[DeadLetter]]:
        """Take some rows in, in their order; returns their charges, duplicates removed, and their dead letters."""
        raws = [RawRecord(item.raw, (), Position(file, 0, item.row), None) for file, item in rows]
        charged = self._charger.charge_all(raws, [item.event if item.fault is None else item.fault for _, item in rows])
        fresh = self._fresh(charged)
        files = list(dict.fromkeys(file for file, _ in rows))
        number = np.array([files.index(file) for file, _ in rows])  # of each row's file
        batches: list[ChargeBatch] = []
        for at, file in enumerate(files):
            mine = number == at
            # Rows come in order of time and may hold several events: to the roller the n-th to come is offset n.
            first = self._taken.get(file, -1) + 1
            offsets = first + np.cumsum(mine) - 1
            self._taken[file] = last = int(offsets[-1])
            block = fresh.where(mine[fresh.records])
            batches.append(ChargeBatch(file, 0, first, last, replace(block, records=offsets[block.records])))
        for batch in batches:  # or what the first has would be told before the others speak
            self._expect(batch)
        self._watch_all(self._roller.add(*batches))
        return fresh, charged.dead_letters

    def feed_sheet(self, file: str, sheet: Sheet) -> tuple[Block, list[DeadLetter]]:
        """Take a sheet in; returns the same as for its lines one by one."""
        charged = self._charger.charge_sheet(file, sheet)
        fresh = self._fresh(charged)
        first = self._taken.get(file, -1) + 1
        self._taken[file] = last = first + sheet.lines.num_rows - 1
        self._watch_all(
            self._roller.add(ChargeBatch(file, 0, first, last, replace(fresh, records=fresh.records + first)))
        )
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

    def journal(self, file: IO[bytes]) -> None:
        """Write down in this file which events were seen, for `restore`."""
        self._seen.journal = file

    def snapshot(self) -> dict[str, Any]:
        """All that it has come to, as JSON, the events seen apart."""
        totals = {name: getattr(self.totals, name) for name in Totals.__slots__}
        costs = {currency: plain_decimal(amount) for currency, amount in self.totals.effective_cost.items()}
        return {
            "pieces": self.pieces,
            "taken": self._taken,
            "totals": totals | {"effective_cost": costs},
            "findings": [finding.model_dump(mode="json") for finding in self.findings.values()],
            "alerts": [alert.model_dump(mode="json") for alert in self.alerts.values()],
            **{name: part.snapshot() for name, part in self._parts().items()},
        }

    def restore(self, state: dict[str, Any], seen: IO[bytes]) -> None:
        """Go on from a snapshot; `seen` is the file that the events were written down in, at its beginning."""
        self._seen.recall(seen)
        self.pieces, self._taken = state["pieces"], state["taken"]
        totals = state["totals"]
        totals["effective_cost"] = {name: Decimal(text) for name, text in totals["effective_cost"].items()}
        for name in ("first_event_time", "last_event_time"):
            totals[name] = datetime.fromisoformat(totals[name]) if totals[name] else None
        self.totals = Totals(**totals)
        self.findings = {one.finding_id: one for one in map(Finding.model_validate, state["findings"])}
        self.alerts = {one.alert_id: one for one in map(Alert.model_validate, state["alerts"])}
        for name, part in self._parts().items():
            part.restore(state[name])

    def _parts(self) -> dict[str, Roller | Merger | Watch | Alerter]:
        return {"roller": self._roller, "merger": self._merger, "watch": self._watch, "alerter": self._alerter}

    def _expect(self, batch: ChargeBatch) -> None:
        if batch.block.count:
            codes, kinds = batch.block.codes("type")
            for code in np.unique(codes).tolist():
                self._roller.expect(Origin(batch.topic, batch.partition), METER_BY_TYPE[kinds[code]])

    def _fresh(self, charged: Charged) -> Block:
        """The charges of events that have not been seen before, as `land` decides it live."""
        totals, block = self.totals, charged.block
        first = block.first_parts()
        new = self._seen.new(
            block.identities.take(pa.array(first)).to_pylist(), (block.micros("time")[first] // HOUR_MICROS).tolist()
        )
        totals.events_read += len(first) + len(charged.dead_letters)
        totals.dead_lettered += len(charged.dead_letters)
        totals.charged += sum(new)
        totals.duplicates += len(new) - sum(new)
        fresh = block.where(np.array(new, dtype=np.bool_)[block.events()])
        if fresh.count:
            self._count(fresh)
        return fresh

    def _count(self, block: Block) -> None:
        totals, times = self.totals, block.micros("time")
        totals.unpriced += int((block.has("price_status", PriceStatus.UNPRICED) & (block.numbers("part") == 0)).sum())
        first, last = moment(int(times.min())), moment(int(times.max()))
        totals.first_event_time = min(totals.first_event_time or first, first)
        totals.last_event_time = max(totals.last_event_time or last, last)
        codes, currencies = block.codes("currency")
        cost = block.money("effective_cost")
        known = np.bincount(codes[cost.is_valid().to_numpy(zero_copy_only=False)], minlength=len(currencies))
        for currency, units, charges in zip(
            currencies, sums(cost, codes, len(currencies)), known.tolist(), strict=True
        ):
            if charges:
                so_far = totals.effective_cost.get(currency, Decimal(0))
                totals.effective_cost[currency] = so_far + amount(units)

    def _watch_all(self, said: Iterable[Ticks | Watermark]) -> None:
        for one in said:
            if isinstance(one, Ticks):
                self._merger.ticks(one)
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
