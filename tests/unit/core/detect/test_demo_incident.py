"""The demo's workload through the whole pure way, many times over: its loop is found soon, and nothing before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest

from schemas.records import Position
from schemas.topics import TOPIC_BY_EVENT_TYPE
from schemas.watch import Alert, Mark
from streams import build
from streams.core.alert import Alerter
from streams.core.detect.merge import Merger
from streams.core.detect.watch import Watch
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord
from streams.core.windows.roll import Roller
from streams.core.windows.sums import utc
from streams.core.windows.ticks import Ticks
from streams.demo.run import WINDOW_SECONDS
from streams.demo.workload import CULPRIT, Workload, encode
from streams.settings import load

BEGIN = datetime(2026, 11, 21, 6, tzinfo=UTC)
HISTORY, CALM, LOOP = 900, 20, 20  # seconds
WATCHED = {CULPRIT.principal, "key-1008", "key-1009"}
"""The key that loops, and the two of fewest calls, whose chance is the wildest: the rest would only take time."""
EVERY_PHASE = 10
"""Seconds that a run may begin into a minute's tenth: how much of the loop its first window holds is chance."""
TOPIC = TOPIC_BY_EVENT_TYPE["spendstream.token_call.v1"].name


@cache
def charger() -> Charger:
    return build.charger(load())


def alerts(seed: int, window: int) -> Iterator[tuple[float, Alert]]:
    """Each new alert, with the seconds from the incident to the end of the window that told it."""
    settings = load(
        None,
        [
            "alerts.min_excess_usd=0.05",
            f"roll.token_call_window_seconds={window}",
            'roll.series=[[], ["principal"], ["team"]]',
        ],
    )
    roller, merger = Roller(build.roll_rules(settings)), Merger()
    watch, alerter = Watch(build.watch_rules(settings)), Alerter(build.alert_rules(settings))
    workload, begin = Workload(Random(seed)), BEGIN + timedelta(seconds=seed % EVERY_PHASE)
    incident = begin + timedelta(seconds=HISTORY + CALM)
    for second in range(HISTORY + CALM + LOOP):
        now = begin + timedelta(seconds=second)
        events = [e for e in workload.second(now, loop=now >= incident) if e["data"].get("principal") in WATCHED]
        position = Position(TOPIC, 0, second)
        charged = charger().charge(RawRecord(encode(events), (), position, now))
        for said in roller.add(charged.batch([position])):
            if isinstance(said, Ticks):
                merger.ticks(said)
                continue
            for complete in merger.watermark(said):
                for finding in watch.window(complete):
                    alerter.finding(finding)
                mark = Mark(meter="token_call", window_seconds=window, partition=0, time=utc(complete.end))
                for alert in alerter.mark(mark):
                    yield complete.end - incident.timestamp(), alert


@pytest.mark.parametrize(("window", "within"), [(WINDOW_SECONDS, 9), (10, 16)])
@pytest.mark.parametrize("seed", range(25))
def test_the_loop_is_alerted_soon_and_nothing_else_is(seed: int, window: int, within: int) -> None:
    after, first = next(alerts(seed + 100 * window, window))
    assert first.series == {"principal": CULPRIT.principal}
    assert 0 < after <= within
