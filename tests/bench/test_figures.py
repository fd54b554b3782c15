"""How figures are made of what was measured; the measuring itself is the benchmark's own run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from schemas.topics import Topic
from streams.app import STAGES
from streams.core.windows.sums import utc
from streams.settings import Settings
from tests.bench import page
from tests.bench.cluster import Lags, Run
from tests.bench.under_load import nearest, quantile, told
from tests.bench.workers import Drain, Idle, Took


def figure(part: str, batch: int, cost: float) -> dict[str, Any]:
    return {
        "part": part, "batch": batch, "cpu_seconds_per_million": cost, "events_per_second": 1e6 / cost,
        "rss_bytes": 200e6, "seconds": 9.0,
    }  # fmt: skip


def report(price: float = 6.0) -> dict[str, Any]:
    each = dict.fromkeys(STAGES, 1.0) | {"price": price}
    others = {page.FLOOR: 5.0, page.IDIOMATIC: 120.0, page.QUIX: 60.0}
    figures = [figure(part, batch, cost) for batch in (500, 1) for part, cost in (each | others).items()]
    held = {"usage": 400.0, "charges": 150.0, "ticks": 2.0, "clickhouse": 60.0}
    when = {"commit": "abc", "at": "1 May", "seconds": 10.0, "waited_share": None}
    cost = {"figures": figures, "bytes_per_event": {"500": held, "1": held}, "quix_not_run": "", **when}
    load = {
        "share": 0.5, "events_per_second": 100.0, "cpu_per_second": 0.5, "behind_at_end": 0, "landed_p50": 0.4,
        "landed_p99": 2.5, "incidents": 2, "alerts": 0, "alert_p50": None, "alert_p99": None,
    }  # fmt: skip
    machine = {"cpus": 2, "processor": "x", "memory_gib": 4.0, "python": "3.11", "packages": {"orjson": "3"}}
    return {"machine": machine, "parts": {"cost": cost, "latency": {"capacity": 200.0, "rows": [load], **when}}}


def lines(text: str, begin: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(begin)]


def test_growth_is_said_by_events_and_by_windows_of_series() -> None:
    row = {
        "events": 100_000, "keys": 100, "series": 554, "series_windows": 20_000, "cpu_seconds_per_million": 40.0,
        "events_per_second": 1e4, "start_rss_bytes": 5e8, "rss_bytes": 1e9,
    }  # fmt: skip
    of_before = {name: value for name, value in row.items() if name != "series_windows"}
    made = report()
    made["parts"]["growth"] = {"rows": [row, of_before], **dict.fromkeys(("commit", "at"), "x"), "seconds": 1.0,
                               "waited_share": None}  # fmt: skip
    found = lines(page.tables(made), "| 100,000 |")
    assert found == [
        "| 100,000 | 100 | 554 | 20,000 | 40.0 | 200 | 10,000 | 500 | 1,000 |",
        "| 100,000 | 100 | 554 | - | 40.0 | - | 10,000 | 500 | 1,000 |",
    ]


def test_work_is_what_was_used_without_starting_and_waiting() -> None:
    idle = Idle(start_cpu_seconds=2.0, start_seconds=3.0, waiting=0.1)
    # Ten seconds after the start, of which it worked four and waited six, at a tenth of a processor.
    assert idle.work(Took(2.0 + 4.0 + 0.6, 13.0, 0)) == pytest.approx(4.0)
    assert idle.work(Took(1.5, 2.0, 0)) == 0.0


def test_a_stage_is_done_with_what_stood_there_though_pulses_go_on() -> None:
    at = TopicPartition("charges", 0)

    class Pulsing:
        """A topic that is one record longer at each look, and a group that has committed up to `done`."""

        end, done = 10, 8

        async def ends(self, _: Topic) -> dict[TopicPartition, int]:
            self.end += 1
            return {at: self.end}

        async def of(self, _: str, ends: Mapping[TopicPartition, int]) -> int:
            return max(0, ends[at] - self.done)

    async def looks() -> list[bool]:
        lags = Pulsing()
        drain = Drain(Run(Settings(), Path()), cast("Lags", lags), "land")
        found = [await drain.is_over()]
        lags.done = 11
        return [*found, await drain.is_over()]

    assert asyncio.run(looks()) == [False, True]


def test_a_quantile_of_a_histogram_is_even_within_its_bucket() -> None:
    counts = {1.0: 50.0, 2.0: 90.0, 4.0: 100.0, math.inf: 100.0}
    assert quantile(counts, 0.5) == pytest.approx(1.0)
    assert quantile(counts, 0.99) == pytest.approx(3.8)
    assert quantile({1.0: 1.0, math.inf: 100.0}, 0.99) == 1.0  # beyond the last bound nothing is known
    assert quantile({1.0: 0.0, math.inf: 0.0}, 0.5) is None


def test_the_nearest_rank_is_one_of_the_values() -> None:
    assert nearest([0.1, 0.2, 0.3, 9.0], 0.5) == 0.2
    assert nearest([0.1, 0.2, 0.3, 9.0], 0.99) == 9.0
    assert nearest([], 0.5) is None


def test_the_tables_stand_between_the_markers_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{page.BEGIN}\nof the last run\n{page.END}\nafter\n", encoding="utf-8")
    page.write(report(), file)
    page.write(report(), file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "of the last run" not in text
    assert text.count("### CPU, memory and bytes") == 1


def test_what_was_asked_is_judged_by_what_was_measured() -> None:
    holds = page.tables(report())
    assert lines(holds, "| a million events in arrays") == [
        "| a million events in arrays of 500 | ≤ 12 CPU-s | 10.0 CPU-s | yes |"
    ]
    assert lines(holds, "| arrays, idiomatic") == [
        "| arrays, idiomatic Faust to ours | ≥ 10 times | 12.0 times | yes |"
    ]
    assert lines(holds, "| landed p99")[0].endswith("| no |")
    assert lines(holds, "| alert p99")[0].endswith("| none seen | no |")
    assert lines(page.tables(report(price=9.0)), "| a million events in arrays")[0].endswith("| 13.0 CPU-s | no |")


def test_a_cluster_is_sized_by_the_dearest_stage() -> None:
    text = page.tables(report())
    assert "| price | 10 | 10 |" in text  # six processors' work, each planned to be used by 60 %
    assert "at least 10 of `usage.token-calls`" in text
    assert "`price`, which takes 60% of the work" in text
    assert "400 MB/s of usage" in text
    assert "5.2 TB a day" in text


def test_an_alert_that_had_resolved_and_fires_again_is_told_again() -> None:
    def said(at: float, alert_id: str, status: str) -> tuple[float, dict[str, str]]:
        return at, {"alert_id": alert_id, "status": status, "updated_at": utc(at - 0.75).isoformat()}

    before = [said(90.0, "a", "firing"), said(91.0, "b", "firing"), said(95.0, "a", "resolved")]
    since = [
        said(100.0, "a", "firing"),
        said(110.0, "b", "firing"),
        said(111.0, "c", "firing"),
        said(112.0, "c", "firing"),
    ]
    assert told([*before, *since], since=100.0) == pytest.approx([0.75, 0.75])  # a and c; b had been told before
