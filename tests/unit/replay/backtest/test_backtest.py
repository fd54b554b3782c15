"""Whole backtests over a small bill, as an analyst runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from replay.backtest import detect
from replay.backtest.execute import record
from replay.backtest.histories import histories
from replay.backtest.tape import windows
from replay.backtest.variants import Variant
from streams.cli import app
from streams.settings import load
from tests.support.bills import bill, labels
from tests.support.replaying import replayed
from tests.support.shared import shared


def run(*arguments: object, fails: int = 0) -> str:
    result = CliRunner().invoke(app, ["backtest", *map(str, arguments)])
    assert result.exit_code == fails, result.output
    return result.output


@pytest.fixture
def history(tmp_path: Path) -> Path:
    folder = tmp_path / "november"
    bill(folder / "events.ndjson")
    labels(folder / "labels.json")
    return folder


def found(out: Path) -> Any:
    return json.loads((out / "backtest.json").read_text())


def test_it_catches_the_incident_and_says_how_soon(history: Path, tmp_path: Path) -> None:
    said = run(history, "--out", tmp_path / "out")
    whole = found(tmp_path / "out")["variants"][0]["whole"]
    assert (whole["incidents"], whole["caught"], whole["false_alerts"], whole["kept_quiet"]) == (1, 1, 0, "1/1")
    assert whole["median_seconds_to_detect"] == 3600  # known when the first dear hour is over
    assert whole["usd_before_detection"] == 10.5  # one of twelve hours of 126 USD
    assert "100.0% (1/1)" in said
    assert "100.0% (1/1)" in (tmp_path / "out" / "backtest.md").read_text()


def test_the_same_to_the_byte_whatever_runs_it(history: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    bill(second / "events.ndjson", times=3)
    common = [history, second, "--detector", "spend", "--detector", "river-gaussian"]
    run(*common, "--out", tmp_path / "a")
    run(*common, "--out", tmp_path / "b", "--jobs", 2)
    run(*common, "--out", tmp_path / "c", "--cache", tmp_path / "cache")
    run(*common, "--out", tmp_path / "d", "--cache", tmp_path / "cache")  # from the cache
    for name in ("backtest.json", "backtest.md"):
        assert len({(tmp_path / out / name).read_bytes() for out in "abcd"}) == 1


def test_it_judges_what_replay_would_page(history: Path, tmp_path: Path) -> None:
    settings = load()
    written = replayed(settings, history / "events.ndjson", tmp_path / "replay")
    (one,) = histories([history], [])
    tape, known = record(one, settings, tmp_path, reuse=False)
    plans = [Variant("one").plan(settings), Variant("other", overrides=()).plan(settings)]
    for seen in detect.run(plans, windows(tape), known.last):  # side by side, they don't disturb each other
        assert sorted(alert.name for alert in seen.alerts) == [name for name, _, _ in written.alert_titles()]
        assert len(seen.findings) == written.summary["findings"]
    assert seen.alerts


def test_the_benchmarks_own_scorer_agrees(history: Path, tmp_path: Path) -> None:
    scorer = shared("incidents/score.py")
    replayed(load(), history / "events.ndjson", tmp_path / "replay")
    command: list[str | Path] = [sys.executable, scorer, history / "labels.json", tmp_path / "replay", "--json"]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    run(history, "--out", tmp_path / "out")
    ours = found(tmp_path / "out")["variants"][0]["whole"]
    for mine, name in {
        "recall": "recall", "alerts": "alerts", "false_alerts": "false_alerts", "kept_quiet": "kept_quiet",
        "recorded": "recorded", "alerts_per_caught": "alerts_per_caught_incident", "usd_before_share":
        "usd_spent_before_alert_share", "median_seconds_to_detect": "median_seconds_to_detect",
    }.items():  # fmt: skip
        assert ours[mine] == theirs[name], name


def test_a_search_keeps_to_its_budget_and_writes_settings_that_a_worker_takes(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run(history, "--out", out, "--alerts-per-week", 3, "--search", "alerts.min_excess_usd=2,500",
               "--search", "detect.sensitivity=1,1.5", "--hold-out", "0.3")  # fmt: skip
    whole = found(out)
    assert whole["search"]["tried"] == 4
    chosen = next(one for one in whole["variants"] if one["name"] == whole["search"]["chosen"])
    assert chosen["tuned_on"]["caught"] == 1
    assert chosen["held_out"]["incidents"] == 0  # the only one lies in the time tuned on
    assert chosen["tuned_on"]["alerts_per_week"] <= 3
    assert "held out" in said
    settings = load(out / "settings.toml")
    assert settings.alerts.min_excess_usd == 2
    assert settings.detect.sensitivity[0].factor in {1.0, 1.5}
    assert tomllib.loads((out / "settings.toml").read_text()).keys() <= {"alerts", "detect"}


def test_a_budget_that_nothing_keeps_to_is_a_failure_with_its_figures(history: Path, tmp_path: Path) -> None:
    said = run(history, "--out", tmp_path / "out", "--alerts-per-week", "0.1", "--search",
               "alerts.min_excess_usd=1,2", fails=1)  # fmt: skip
    assert "None of 2 settings keeps to 0.1 alerts a week" in said
    assert found(tmp_path / "out")["search"]["chosen"] is None
    assert not (tmp_path / "out" / "settings.toml").exists()


def test_without_labels_it_counts_alerts(tmp_path: Path) -> None:
    said = run(bill(tmp_path / "bill.ndjson"), "--out", tmp_path / "out")
    assert "alerts/week" in said
    assert found(tmp_path / "out")["variants"][0]["whole"]["recall"] is None


def test_named_variants_from_a_file(history: Path, tmp_path: Path) -> None:
    file = tmp_path / "variants.toml"
    file.write_text(
        '[quiet]\nset = ["alerts.min_excess_usd=5000"]\n[hours]\nset = ["roll.series=[[], [\\"service\\"]]"]\n'
    )
    run(history, "--out", tmp_path / "out", "--variants", file)
    configured, quiet, hours = (one["whole"] for one in found(tmp_path / "out")["variants"])
    assert (configured["caught"], quiet["caught"], hours["caught"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{empty}"], "nothing to judge: empty.ndjson: no events"),
        (["{bill}", "--warmup-days", "40"], "no longer than the warm-up of 40 days"),
        (["{bill}", "--labels", "{empty}"], "no column series, start, end, kind"),
        (["{bill}", "--labels", "{bill}.missing"], "can't be read"),
        (["{bill}", "{bill}", "{bill}", "--labels", "{csv}", "--labels", "{csv}"], "2 files for 3 inputs"),
        (["{bill}.missing"], "does not exist"),
        (["{bill}", "--detector", "oracle"], "no detector 'oracle'"),
        (["{bill}", "--search", "a=1"], "needs --alerts-per-week"),
        (["{bill}", "--alerts-per-week", "3", "--search", "alerts.min_excess_usd"], "must be key=value"),
        (["{bill}", "--alerts-per-week", "3", "--search", "alerts.nothing=1"], "alerts.nothing"),
        (["{bill}", "--variants", "{csv}"], "can't be read"),
    ],
)
def test_a_mistake_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    bill(tmp_path / "bill.ndjson", hours=30)
    (tmp_path / "empty.ndjson").write_text("\n[]\n")
    (tmp_path / "known.csv").write_text("series,start,end,kind\n")
    names = {"bill": tmp_path / "bill.ndjson", "empty": tmp_path / "empty.ndjson", "csv": tmp_path / "known.csv"}
    output = run(*(argument.format(**names) for argument in arguments), "--out", tmp_path / "out", fails=2)
    assert said in output.replace("\n", " ")
    assert "Traceback" not in output


def test_numentas_metrics_are_judged_by_their_windows(tmp_path: Path) -> None:
    nab = shared("data/nab")
    folder = tmp_path / "nab"
    for name in ("data/realKnownCause/nyc_taxi.csv", "labels/combined_windows.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(nab / name)
    run(folder, "--out", tmp_path / "out", "--detector", "drift-record")
    whole = found(tmp_path / "out")
    assert whole["histories"][0]["labels"] == 5
    drift = next(one for one in whole["variants"] if one["name"] == "drift-record")
    assert drift["whole"]["incidents"] == 5
    assert drift["whole"]["caught"] >= 1
