"""Calls, minutes, five minutes, hours and days side by side: through `roll` and `detect` as one worker hosts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.records import Position
from schemas.watch import Finding
from streams import build
from streams.core.columns.packed import pack
from streams.core.detect.merge import Complete
from streams.core.usage.decode import RawRecord
from streams.io.checkpoints import Checkpoints
from streams.metrics import Metrics
from streams.settings import Settings, load
from streams.stages.detect import DetectService
from streams.stages.partitions import Held
from streams.stages.roll import Layout, RollService

START = datetime(2026, 11, 2, tzinfo=UTC)
LAYOUT = Layout({"usage.token-calls": 2, "usage.gpu": 1, "usage.line-items": 2}, 1, 1)
TICKS = TopicPartition("spend.ticks", 0)
SERIES = ("live", "warming")
TIMES = 12  # the usual: what each source does at its end


@dataclass
class Record:
    """What `process` looks at of a Kafka record."""

    value: bytes
    offset: int
    partition: int = 0


Event = tuple[str, int, datetime, dict[str, Any]]  # topic, its partition, time, the event


def event(topic: str, partition: int, kind: str, at: datetime, number: int, data: dict[str, Any]) -> Event:
    body = {"specversion": "1.0", "id": f"{kind}-{topic}-{partition}-{number}", "source": "/s", "time": at.isoformat(),
            "type": f"spendstream.{kind}.v1", "data": data}  # fmt: skip
    return topic, partition, at, body


def calls(hours: int) -> Iterator[Event]:
    """A key that reports each call, about one in four seconds."""
    rng, at = Random(1), START
    end = START + timedelta(hours=hours)
    number = 0
    while at < end:
        at += timedelta(seconds=rng.uniform(2, 6))
        loop = at > end - timedelta(minutes=10)
        data = {"provider": "openai", "model": "gpt-4o", "input_tokens": 20_000 * (TIMES if loop else 1),
                "output_tokens": 300, "principal": "by-the-call"}  # fmt: skip
        yield event("usage.token-calls", 0, "token_call", at, (number := number + 1), data)


def minutes(hours: int) -> Iterator[Event]:
    """A key whose gateway reports by the minute."""
    rng = Random(2)
    for minute in range(60 * hours):
        at = START + timedelta(minutes=minute + 1, milliseconds=-1)
        requests = rng.randint(180, 220) * (TIMES if minute >= 60 * hours - 10 else 1)
        data = {"provider": "anthropic", "model": "claude-sonnet-4-5", "requests": requests,
                "input_tokens": 2000 * requests, "output_tokens": 100, "principal": "by-the-minute"}  # fmt: skip
        yield event("usage.token-calls", 1, "token_call", at, minute, data)


def gpus(hours: int) -> Iterator[Event]:
    """A cluster that reports every five minutes."""
    for slot in range(12 * hours):
        at = START + timedelta(minutes=5 * (slot + 1), milliseconds=-1)
        used = 80.0 * (TIMES if slot >= 12 * hours - 6 else 1)
        data = {"provider": "aws", "accelerator": "nvidia-h100-80gb", "gpu_minutes": used, "utilization": 0.7,
                "capacity_type": "on_demand", "cluster": "by-five-minutes"}  # fmt: skip
        yield event("usage.gpu", 0, "gpu_usage", at, slot, data)


def bill(partition: int, service: str, width: timedelta, count: int) -> Iterator[Event]:
    rng = Random(width.days)
    for number in range(count):
        start = START + width * number
        cost = f"{rng.uniform(9, 11) * (TIMES if number >= count - 3 else 1):.4f}"
        data = {"BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost,
                "BillingCurrency": "USD", "ChargeCategory": "Usage", "ServiceName": service,
                "ServiceProviderName": "AWS",
                "ChargePeriodStart": start.isoformat(), "ChargePeriodEnd": (start + width).isoformat()}  # fmt: skip
        yield event("usage.line-items", partition, "line_item", start + width, number, data)


def worker(folder: Path) -> tuple[RollService, DetectService, Metrics]:
    settings: Settings = load(None, ["alerts.min_excess_usd=1"])
    metrics = Metrics()
    common: dict[str, Any] = {"topics": [], "make_consumer": pytest.fail, "make_producer": pytest.fail,
                              "checkpoints": Checkpoints(folder), "clock": lambda: START}  # fmt: skip
    roll = RollService(
        settings, metrics, **common, rules=build.roll_rules(settings), layout=LAYOUT, ticks_topic="spend.ticks"
    )
    detect = DetectService(
        settings, metrics, **common, rules=build.watch_rules(settings), layout=LAYOUT, findings_topic="spend.findings"
    )
    return roll, detect, metrics


def charged(events: Sequence[Event]) -> Iterator[Record]:
    """What `price` writes: the charges of each event in the order of its source partition."""
    charger = build.charger(load())
    offsets: dict[tuple[str, int], int] = {}
    for number, (topic, partition, _, body) in enumerate(events):
        offset = offsets[topic, partition] = offsets.get((topic, partition), -1) + 1
        raw = RawRecord(b"", (), Position(topic, partition, offset), None)
        found = charger.charge(raw, body)
        assert not found.dead_letters, found.dead_letters
        yield Record(pack(found.batch([Position(topic, partition, offset)])), number)


def test_each_source_is_watched_at_its_own_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roll, detect, metrics = worker(tmp_path)
    events = [*calls(4), *minutes(4), *gpus(12), *bill(0, "by-the-hour", timedelta(hours=1), 24 * 4)]
    events += bill(1, "by-the-day", timedelta(days=1), 45)
    rolling = roll.open(TopicPartition("spend.charges", 0), None)
    detecting = detect.open(TICKS, None)
    judged: list[int] = []  # how many series had something in each window
    take = detecting.watch.window

    def count(complete: Complete) -> list[Finding]:
        judged.append(len(complete.windows))
        return take(complete)

    monkeypatch.setattr(detecting.watch, "window", count)
    found: dict[str, Finding] = {}
    ticks: list[Record] = []
    for record in charged(sorted(events, key=lambda one: one[2])):
        ticks += [Record(send.value, len(ticks)) for send in roll.process(rolling, [record])]
    ticks += [Record(send.value, len(ticks)) for send in _ended(roll, rolling)]
    for send in detect.process(detecting, ticks):
        if b'"finding_id"' in send.value:
            finding = Finding.model_validate_json(send.value)
            found.setdefault(next(iter(finding.series.values()), ""), finding)
    paces = {name: finding.cadence_seconds for name, finding in found.items() if name.startswith("by-")}
    assert paces == {
        "by-the-call": 10, "by-the-minute": 60, "by-five-minutes": 300, "by-the-hour": 3600, "by-the-day": 86_400,
    }  # fmt: skip
    detect._held[TICKS] = Held(TICKS, detecting, 0, 0)
    detect.idle(detecting, START)
    shown = {known: metrics.registry.get_sample_value("spendstream_series", {"state": known}) for known in SERIES}
    assert shown == detecting.watch.series()
    assert (shown["live"] or 0) >= len(paces)
    name = "spendstream_series_windows_total"
    meters = ("token_call", "gpu_usage", "line_item")
    assert sum(metrics.registry.get_sample_value(name, {"meter": one}) or 0 for one in meters) == sum(judged)


def _ended(roll: RollService, state: Any) -> list[Any]:
    """All sources fall silent: their last windows close."""
    said = [one for origin, meter in LAYOUT.sources() for one in state.roller.quiet(origin, meter)]
    return roll._sends(said)
