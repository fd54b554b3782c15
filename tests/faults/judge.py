"""What a run came to, against the truth and against a run that nothing was done to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import CHARGES
from streams.core.columns.packed import unpack
from streams.io.clickhouse import ClickHouseStore
from streams.io.kafka import client_config, topic_name
from tests.faults.deployment import Deployment
from tests.faults.looker import Sum, totals_of

STILL_SECONDS = 2.0  # nothing may come after all is there
FINDING = "finding_id, kind, revision, status, opened_at, detected_at, closed_at, excess_usd, severity, explanation"
ALERT = "alert_id, revision, status, title, severity, excess_usd, arraySort(findings) AS findings"


@dataclass(frozen=True, slots=True)
class Watched:
    """Findings and alerts in their last state, and the deliveries by what they say: (alert id, whether resolved)."""

    findings: frozenset[tuple[Any, ...]]
    alerts: frozenset[tuple[Any, ...]]
    deliveries: Counter[tuple[str, bool]]

    def named(self) -> Watched:
        """Which there are and in what state, without their sums."""
        findings = frozenset((name, kind, status) for name, kind, _, status, *_ in self.findings)
        alerts = frozenset((name, status, grouped) for name, _, status, *_, grouped in self.alerts)
        return Watched(findings, alerts, self.deliveries)


@dataclass(slots=True)
class Outcome:
    """A row of the table. All but `times`, `events`, the looks and the seconds is to be 0."""

    fault: str
    times: int
    events: int
    lost: int = 0
    duplicated: int = 0
    unaccounted: int = 0  # read - landed - duplicate - dead-lettered
    looks: int = 0
    wrong_totals: int = 0
    false_findings: int = 0
    missing_findings: int = 0
    undelivered: int = 0
    repeated_deliveries: int = 0  # with the same id
    restarts_of_its_own: int = 0  # a worker ended although nobody asked, and was started again
    recovery_seconds: float = 0.0  # the longest
    details: list[str] = field(default_factory=list)
    commit: str = ""  # of the code that was run

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not any((self.lost, self.duplicated, self.unaccounted, self.wrong_totals, self.false_findings,
                        self.missing_findings, self.undelivered))  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def judged(
    run: Deployment, fault: str, times: int, undisturbed: Watched | None, *, exactly: bool = True
) -> Outcome:
    """Waits for what has to come, then a little for what must not, and looks.

    Unless `exactly`, findings and alerts are compared without their sums.
    """
    await run.all_landed()
    shown: Callable[[Watched], Watched] = (lambda found: found) if exactly else Watched.named
    if undisturbed is not None:
        await _come(run, shown(undisturbed), shown)
    await asyncio.sleep(STILL_SECONDS)
    await run.looker.look()
    found = await watched(run)
    seen, out = run.looker.seen, Outcome(fault, times, run.stream.truth.read)
    out.looks, out.wrong_totals = seen.looks, len(seen.wrong)
    out.details += seen.wrong[:5]
    out.restarts_of_its_own = sum(worker.died for worker in run.workers.values())
    await _count(run, out)
    if undisturbed is not None:
        _compare(out, shown(found), shown(undisturbed))
    return out


async def watched(run: Deployment) -> Watched:
    """What detection and alerting came to."""
    return await asyncio.to_thread(_watched, run)


def _watched(run: Deployment) -> Watched:
    deliveries = Counter(_said(message) for message in list(run.receiver.taken))
    return Watched(_rows(run.store, FINDING, "findings_current"), _rows(run.store, ALERT, "alerts_current"), deliveries)


def _rows(store: ClickHouseStore, columns: str, view: str) -> frozenset[tuple[Any, ...]]:
    rows = store.query(f"SELECT {columns} FROM {view}")  # noqa: S608  our own words
    return frozenset(tuple(tuple(v) if isinstance(v, list) else v for v in row.values()) for row in rows)


def _said(message: Mapping[str, str]) -> tuple[str, bool]:
    """The id is the message's last line."""
    return message["message"].strip().splitlines()[-1], message["title"].startswith("RESOLVED")


async def _come(run: Deployment, wanted: Watched, shown: Callable[[Watched], Watched], seconds: float = 120.0) -> None:
    """Until findings, alerts and deliveries are as in the undisturbed run; what doesn't come is for the judge."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = shown(await watched(run))
        same = found.findings == wanted.findings and found.alerts == wanted.alerts
        if same and found.deliveries.keys() >= wanted.deliveries.keys():
            return
        await asyncio.sleep(0.3)


async def _count(run: Deployment, out: Outcome) -> None:
    truth, store = run.stream.truth, run.store
    rows = await asyncio.to_thread(store.query, "SELECT source, id, count() AS n FROM charges GROUP BY source, id")
    landed = {(row["source"], row["id"]): row["n"] for row in rows}
    out.lost = len(truth.ids - landed.keys())
    out.duplicated = sum(landed.values()) - len(landed) + len(landed.keys() - truth.ids)
    letters = await asyncio.to_thread(
        store.query, "SELECT count() AS rows, uniqExact(dead_letter_id) AS n FROM dead_letters"
    )
    out.duplicated += letters[0]["rows"] - letters[0]["n"]
    read, charged = await _on_kafka(run)
    duplicates = charged - sum(landed.values())
    out.unaccounted = abs(read - sum(landed.values()) - duplicates - letters[0]["n"]) + abs(
        duplicates - truth.duplicates
    )
    totals = await asyncio.to_thread(totals_of, store)
    wanted = Sum(truth.all.events, truth.all.usd)
    for name, total in totals.items():
        if total.events not in {-1, wanted.events} or total.usd != wanted.usd:
            out.wrong_totals += 1
            out.details.append(f"{name} ends at {total}, and the truth is {wanted}")


async def _on_kafka(run: Deployment) -> tuple[int, int]:
    """Events read, and those of them that were charged, each source record once, as `spend.charges` tells."""
    consumer = AIOKafkaConsumer(**client_config(run.settings.kafka), max_partition_fetch_bytes=2**24)
    name = topic_name(run.settings, CHARGES)
    tps = [TopicPartition(name, partition) for partition in range(CHARGES.partitions)]
    await consumer.start()
    try:
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        charged: dict[tuple[int, str, int, int], int] = {}  # by partition of charges and source record
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for value in records:
                    batch = unpack(value.value)
                    here = Counter(batch.block.records[batch.block.first_parts()].tolist())
                    charged |= {
                        (value.partition, batch.topic, batch.partition, number): here[number] for number in here
                    }
    finally:
        await consumer.stop()
    return run.stream.truth.read, sum(charged.values())


def _compare(out: Outcome, found: Watched, wanted: Watched) -> None:
    for kind, got, want in (("finding", found.findings, wanted.findings), ("alert", found.alerts, wanted.alerts)):
        out.false_findings += len(got - want)
        out.missing_findings += len(want - got)
        out.details += [f"false {kind} {row}" for row in sorted(got - want, key=str)[:2]]
        out.details += [f"missing {kind} {row}" for row in sorted(want - got, key=str)[:2]]
    out.undelivered = len(wanted.deliveries.keys() - found.deliveries.keys())
    out.false_findings += len(found.deliveries.keys() - wanted.deliveries.keys())
    out.repeated_deliveries = sum(found.deliveries.values()) - len(found.deliveries)
