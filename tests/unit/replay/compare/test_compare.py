"""Everybody is judged alike: the same windows, the same grouping, the same scorer; and the page keeps its prose."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from typer.testing import CliRunner

from replay.compare import contest, ours, pages, plots, scoring, tables
from replay.compare.benchmarks import BenchmarkError, read
from replay.compare.contest import OURS
from replay.compare.episodes import Ledger, desk_of
from replay.compare.rivals import RIVALS
from replay.compare.scenes import Scene
from replay.compare.scoring import Outcome, Score
from replay.compare.traces import Traces
from streams.core.alert import AlertRules
from streams.core.detect.merge import Complete
from streams.core.windows.sums import SeriesKey, Sums, Window
from tests.support.shared import shared
from tests.support.watching import key, tokens

START = datetime(2026, 11, 2, tzinfo=UTC)
LOOP = START + timedelta(days=4, hours=10)
LOOP_MINUTES = 40
RIVAL = {rival.name: rival for rival in RIVALS}


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four and a half days of two keys by the minute; at the end one of them goes into a loop."""
    out = tmp_path_factory.mktemp("tokens-1")
    rng = Random(3)
    end = START + timedelta(days=4, hours=12)
    with gzip.open(out / "events.ndjson.gz", "wt") as file:
        for minute in range(int((end - START).total_seconds() // 60)):
            at = START + timedelta(minutes=minute, seconds=59)
            for name in ("key-1", "key-2"):
                loop = name == "key-1" and LOOP <= at < LOOP + timedelta(minutes=LOOP_MINUTES)
                requests = max(1, round(rng.gauss(20, 3))) * (9 if loop else 1)
                data = {"provider": "openai", "model": "gpt-4o", "requests": requests, "input_tokens": 2000 * requests,
                        "output_tokens": 300 * requests, "principal": name, "tags": {"team": "search"}}  # fmt: skip
                event = {"specversion": "1.0", "id": f"{name}-{minute}", "source": "/gateway",
                         "type": "spendstream.token_call.v1", "time": iso(at), "data": data}  # fmt: skip
                file.write(json.dumps(event) + "\n")
    label = {"id": "runaway_loop-0", "kind": "runaway_loop", "start": iso(LOOP), "expect": "alert",
             "end": iso(LOOP + timedelta(minutes=LOOP_MINUTES)), "excess_usd": 50.0,
             "series": {"principal": "key-1", "team": "search"}}  # fmt: skip
    body = {"kind": "tokens", "start": iso(START), "end": iso(end), "warmup_days": 4, "labels": [label]}
    (out / "labels.json").write_text(json.dumps(body))
    return out


def test_one_command_judges_everybody_on_the_same_history(folder: Path, tmp_path: Path) -> None:
    scorer = shared("incidents") / "score.py"
    result = contest.run(read(folder), (0.1,), scorer, tmp_path)
    assert {name for name, _ in result.scores} == {OURS, *RIVAL}
    ours = result.scores[OURS, 1.0]
    assert ours is not None
    assert (ours.recall, ours.false_alerts, ours.alerts) == (1.0, 0, 1)
    assert ours.median_delay is not None
    assert ours.median_delay <= 180
    rule = result.scores["bucket-over-hour", 3.0]
    assert rule is not None
    assert rule.recall == 1.0
    dull = result.scores["static", 1000.0]
    assert dull is not None
    assert dull.recall == 0.0
    scene = result.scenes["runaway_loop"]
    assert scene.paged
    assert scene.found is not None
    assert max(scene.actual) > 5 * max(scene.expected[:60])
    again = tmp_path / "result.json"
    contest.save(result, again, "a stamp")
    assert contest.saved(again, "a stamp") == result
    assert contest.saved(again, "another") is None


def test_what_is_kept_is_used_again_and_ours_can_be_scored_alone(folder: Path, tmp_path: Path) -> None:
    scorer = shared("incidents") / "score.py"
    arguments = [str(folder), "--scorer", str(scorer), "--work", str(tmp_path), "--verbose"]
    first = CliRunner().invoke(ours.app, arguments)
    assert "recall 1.000, false 0.00 a day, alerts per incident 1.00, median 60.0 s" in first.output
    kept = tmp_path / folder.name / "windows.zst"
    written = kept.stat().st_mtime_ns
    assert CliRunner().invoke(ours.app, arguments).output == first.output
    assert kept.stat().st_mtime_ns == written
    (tmp_path / folder.name / "windows.stamp").write_text("of other code")
    assert CliRunner().invoke(ours.app, arguments).output == first.output
    assert kept.stat().st_mtime_ns > written
    deaf = CliRunner().invoke(ours.app, [*arguments, "--sensitivity", "0.1"])
    assert "MISSED runaway_loop-0" in deaf.output
    unknown = CliRunner().invoke(ours.app, ["tea-1", "--scorer", str(scorer), "--work", str(tmp_path)])
    assert (unknown.exit_code, "tea-1" in unknown.output) == (2, True)


def traces(values: dict[SeriesKey, list[int]]) -> Traces:
    """Minutes of series, each with the keys below it as its parts."""
    out = Traces(60)
    for minute in range(len(next(iter(values.values())))):
        leaves = {name: tokens(row[minute]) for name, row in values.items()}
        whole = Sums()
        for sums in leaves.values():
            whole.add(sums)
        start = int(START.timestamp()) + 60 * minute
        windows = {name: Window("token_call", name, start, 60, sums, [(name, sums)]) for name, sums in leaves.items()}
        windows[()] = Window("token_call", (), start, 60, whole, list(leaves.items()))
        out.window(Complete("token_call", 60, start, windows))
    return out


def test_a_rivals_alert_names_the_key_and_comes_once() -> None:
    ones = [20] * 300
    found = traces({key(principal="a"): [*ones, *[200] * 30, *ones], key(principal="b"): [20] * 630})
    rival = RIVAL["bucket-over-hour"]
    scores = {name: rival.scores(values, 0, found.start, 60) for name, values in found.series().items()}
    desk = desk_of(Ledger(found, "token_call"), scores, 3.0, AlertRules(min_excess_usd=1))  # type: ignore[arg-type]
    assert desk is not None
    (alert,) = desk.alerts.values()
    assert alert.series == {"principal": "a"}
    assert alert.detected_at == START + timedelta(minutes=301)
    assert len(alert.findings) == 2, "the total saw it as well"


def test_rules_compare_with_what_was_before() -> None:
    values = np.array([1.0] * 60 + [4.0] + [1.0] * 10)
    hourly = RIVAL["bucket-over-hour"].scores(values, 0, 0, 60)
    assert np.isnan(hourly[:60]).all()
    assert hourly[60] == pytest.approx(4.0)
    days = np.array([1.0] * 24 * 3 + [6.0] * 24)
    daily = RIVAL["day-over-week"].scores(days, 0, 0, 3600)
    assert daily[-1] == pytest.approx(6.0)
    assert np.isnan(daily[:47]).all()


def score(recall: float, false_alerts: int) -> Score:
    caught = round(recall * 10)
    outcomes = [Outcome("loop", "alert", n < caught, 60.0 if n < caught else None, int(n < caught)) for n in range(10)]
    return Score(tuple(outcomes), caught + false_alerts, false_alerts, 10.0, 100.0, 10.0)


def test_scores_add_up_over_benchmarks() -> None:
    both = Score.summed([score(1.0, 0), score(0.5, 10)])
    assert (both.recall, both.false_per_day) == (0.75, 0.5)
    assert both.precision == pytest.approx(15 / 25)
    assert both.spent_share == 0.1


def test_a_rivals_best_is_what_somebody_may_stand() -> None:
    found = [tables.Point("r", float(n), score(*at)) for n, at in enumerate([(1.0, 50), (0.8, 10), (0.4, 0)])]
    best = tables.best_of([*found, tables.Point("r", 9.0, None)])
    assert best is not None
    assert best.threshold == 1.0


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{pages.begin('one')}\nold\n{pages.END}\nafter {pages.begin('two')}{pages.END}\n")
    pages.fill(page, {"one": "new \\1"})
    pages.fill(page, {"one": "new \\1"})
    assert page.read_text() == (
        f"before\n{pages.begin('one')}\n\nnew \\1\n\n{pages.END}\nafter {pages.begin('two')}{pages.END}\n"
    )
    with pytest.raises(pages.PageError, match="three"):
        pages.fill(page, {"one": "newer", "three": "x"})
    assert "newer" not in page.read_text()


def test_plots_are_small_follow_the_theme_and_repeat(tmp_path: Path) -> None:
    at = [int(START.timestamp()) + 60 * n for n in range(600)]
    scene = Scene(
        kind="runaway_loop", what="usd", series="principal key-1", start=at[200], end=at[240], step=60, at=at,
        actual=[1.0] * 200 + [9.0] * 40 + [1.0] * 360, expected=[1.0] * 600, high=[3.0] * 600, found=at[203],
        paged=True,
    )  # fmt: skip
    plots.incident(scene, tmp_path / "a.svg")
    plots.incident(scene, tmp_path / "b.svg")
    svg = (tmp_path / "a.svg").read_bytes()
    assert svg == (tmp_path / "b.svg").read_bytes()
    assert len(svg) < 80_000
    assert b"prefers-color-scheme:dark" in svg
    assert b"alert after 180 s" in svg


def test_a_folder_that_is_no_benchmark_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"labels\.json"):
        read(tmp_path)
    body = {"kind": "tea", "start": iso(START), "end": iso(LOOP), "warmup_days": 1, "labels": []}
    (tmp_path / "labels.json").write_text(json.dumps(body))
    with pytest.raises(BenchmarkError, match="tea"):
        read(tmp_path)
    with pytest.raises(BenchmarkError, match="no scorer"):
        scoring.load(tmp_path / "none.py")
