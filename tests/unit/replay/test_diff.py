"""What moved between two runs of the same history."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.settings import load
from tests.support.bills import bill
from tests.support.replaying import replayed


def diff(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["diff", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def run(tmp_path: Path, name: str, *overrides: str, **how: Any) -> Path:
    replayed(load(overrides=list(overrides)), bill(tmp_path / "bill.ndjson", **how), tmp_path / name)
    return tmp_path / name


def test_a_run_is_like_itself(tmp_path: Path) -> None:
    one, other = run(tmp_path, "one"), run(tmp_path, "other")
    assert "The runs are alike" in diff(one, other, "--exit-code")
    assert json.loads(diff(one, other, "--json"))["same"]


def test_a_changed_bill_moves_dollars_events_and_findings(tmp_path: Path) -> None:
    before, after = run(tmp_path, "before", times=1.0), run(tmp_path, "after", times=8.0)
    found = json.loads(diff(before, after, "--json", "--exit-code", status=3))
    hours = range(171, 183)
    usual = [Decimal(str(round(1.5 * (1 + 0.03 * ((hour * 7) % 5)), 4))) for hour in hours]
    dear = [Decimal(str(round(1.5 * (1 + 0.03 * ((hour * 7) % 5)) * 8, 4))) for hour in hours]
    moved = sum(dear) - sum(usual)
    assert [Decimal(one["moved"]) for one in found["effective_cost"]] == [moved]
    (service,) = found["moves"]["service"]
    assert (service["value"], Decimal(service["moved"])) == ("search", moved)
    assert found["moves"]["team"][0]["value"] == "ads"
    assert found["events"] == {"same": 468, "changed": 12, "only_before": 0, "only_after": 0}
    assert [one["series"] for one in found["alerts"]["appeared"]]
    assert not found["findings"]["disappeared"]
    said = diff(before, after)
    assert "search (USD)" in said
    assert "appeared" in said


def test_another_threshold_changes_alerts_and_no_dollar(tmp_path: Path) -> None:
    before, after = run(tmp_path, "before"), run(tmp_path, "after", "alerts.min_excess_usd=5000")
    found = json.loads(diff(before, after, "--json"))
    assert not any(found["moves"].values())
    assert found["events"]["changed"] == 0
    assert len(found["alerts"]["disappeared"]) == 1
    assert found["counts"]["alerts"] == {"before": 1, "after": 0}


def test_each_currency_by_itself(tmp_path: Path) -> None:
    before = run(tmp_path, "before", hours=10, currencies=("USD", "EUR"))
    after = run(tmp_path, "after", hours=10, currencies=("USD", "GBP"))
    found = json.loads(diff(before, after, "--json"))
    moved = {one["currency"]: Decimal(one["moved"]) for one in found["effective_cost"]}
    assert moved["USD"] == 0
    assert moved["GBP"] == -moved["EUR"] > 0
    assert found["events"]["only_before"] == found["events"]["only_after"] == 20


def test_empty_runs_are_alike(tmp_path: Path) -> None:
    assert "alike" in diff(run(tmp_path, "one", hours=0), run(tmp_path, "other", hours=0), "--exit-code")


@pytest.mark.parametrize(
    ("extra", "said"), [(["--by", "squad"], "no such dimension: squad"), ([], "is no folder of a replay")]
)
def test_a_mistake_is_said_in_one_line(tmp_path: Path, extra: list[str], said: str) -> None:
    assert said in diff(tmp_path / "a", tmp_path / "b", *extra, status=2)
