"""Many series: memory is bounded, idle ones are forgotten, a flood is a finding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.watch import FindingKind
from streams.core.detect.merge import Complete
from streams.core.detect.parts import MAX_PARTS
from streams.core.detect.rules import WatchRules
from streams.core.detect.watch import Watch
from streams.core.windows.sums import Window
from tests.support.watching import START, Stream, key, steady, tokens

DAY = 86_400
SERIES = 10_000
SERIES_BYTES = 12 * 1024  # resident, so that 100,000 stay well within 2 GB
CHECKPOINT_BYTES = 12 * 1024
SLOW = 5.0  # CPU-seconds, some ten times what it takes


def test_ten_thousand_live_series_fit_their_memory_and_their_checkpoint() -> None:
    """In a process of its own: resident memory is that of all that a process ever did."""
    command = [sys.executable, "-m", "tests.bench.series", "--series", str(SERIES), "--windows", "26"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own module
    figures = json.loads(done.stdout)
    assert figures["series"] == SERIES
    assert 1024 < figures["bytes_per_series"] <= SERIES_BYTES, figures
    assert figures["checkpoint_bytes_per_series"] <= CHECKPOINT_BYTES, figures
    assert figures["checkpoint_seconds"] <= SLOW, figures
    assert figures["restore_seconds"] <= SLOW, figures


def test_a_key_per_request_cannot_fill_the_memory_and_is_told() -> None:
    watch = Watch(WatchRules(max_series=50))
    told = []
    for minute in range(20):
        start = START + 60 * minute
        keys = [key(principal=f"key-{minute}-{n}") for n in range(30)]
        windows = {k: Window("token_call", k, start, 60, tokens(1)) for k in keys}
        told += watch.window(Complete("token_call", 60, start, windows))
    assert sum(watch.series().values()) == 51  # those, and the one for all the rest
    (finding,) = {finding.finding_id: finding for finding in told}.values()
    assert finding.kind is FindingKind.NEW_SERIES
    assert finding.series == {"principal": "(too many)"}
    assert "More values of principal than can be watched" in finding.explanation


def test_what_there_is_no_room_for_is_still_watched_together() -> None:
    watch = Watch(WatchRules(max_series=1, min_excess_usd=1.0))
    spent = 0.0
    for minute in range(3):
        start = START + 60 * minute
        windows = {k: Window("token_call", k, start, 60, tokens(10)) for k in [key(principal=n) for n in "abc"]}
        for finding in watch.window(Complete("token_call", 60, start, windows)):
            spent = max(spent, float(finding.excess_usd))
    assert spent > 0.1  # two of three keys, 0.06 USD a minute each


def test_a_series_that_is_gone_is_forgotten() -> None:
    stream = Stream(rules=WatchRules(expire_seconds=2 * DAY))
    gone, here, once = key(service="gone"), key(service="here"), key(service="once")
    stream.feed_all({gone: steady(60), here: steady(60), once: [tokens(1), *[tokens(0)] * 59]})
    stream.seconds = 60
    assert sum(stream.watch.series().values()) == 3
    stream.feed(here, steady(1500))
    assert sum(stream.watch.series().values()) == 2  # what was hardly there is gone after a day
    stream.feed(here, steady(1500))
    assert sum(stream.watch.series().values()) == 1


def test_a_series_of_many_parts_keeps_the_dearest() -> None:
    team = key(team="search")
    stream = Stream()
    cells = {key(team="search", principal=f"key-{n:03d}"): tokens(10 + n) for n in range(100)}
    stream.feed(team, [cells] * 70)
    (series,) = stream.watch.snapshot()["lanes"][0]["series"]
    usual, under_way = series["makeup"][0], series["makeup"][1]
    assert len(usual) <= MAX_PARTS
    assert len(under_way) <= MAX_PARTS


@pytest.mark.parametrize("written_by", ["release_0_1", "format_2"])
def test_what_an_older_release_knew_goes_on(written_by: str) -> None:
    """Written by its code: a key after 400 ordinary windows and five of an incident."""
    watch = Watch(WatchRules(min_excess_usd=1.0))
    watch.restore(json.loads(Path(__file__).with_name(f"watch_of_{written_by}.json").read_text(encoding="utf-8")))
    assert watch.open_findings() == {"spike": 1}
    stream = Stream(now=START + 405 * 60)
    stream.watch = watch
    stream.feed(key(principal="key-1"), steady(30, seed=2))
    (finding,) = stream.found.values()
    assert finding.status == "closed"
    restored = Watch(WatchRules(min_excess_usd=1.0))
    restored.restore(watch.snapshot())
    assert restored.snapshot() == watch.snapshot()
