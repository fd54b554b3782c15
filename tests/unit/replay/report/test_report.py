"""Reports of runs, as a manager would be sent them."""

from __future__ import annotations

import html.parser
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.settings import load
from tests.support.bills import bill
from tests.support.replaying import replayed
from tests.support.shared import shared

NASTY = '<img src=x onerror=alert(1)>"&|`*'


def written(run: Path, fails: int = 0) -> tuple[str, str, Any]:
    """The report of a run as HTML, Markdown and JSON."""
    files = [run / f"report.{kind}" for kind in ("html", "md", "json")]
    result = CliRunner().invoke(app, ["report", str(run), *(part for file in files for part in ("--out", str(file)))])
    assert result.exit_code == fails, result.output
    page, text, data = (file.read_text(encoding="utf-8") for file in files)
    return page, text, json.loads(data)


def run_of(tmp_path: Path, **how: Any) -> Path:
    out = tmp_path / "run"
    replayed(load(), bill(tmp_path / "bill.ndjson", **how), out)
    return out


class Strict(html.parser.HTMLParser):
    """Notes every tag, and whether they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - theirs
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    assert not parser.open
    return parser


def test_it_tells_the_incident_with_its_dollars(tmp_path: Path) -> None:
    page, text, data = written(run_of(tmp_path))
    (one,) = data["incidents"]
    assert one["alert"]["series"]["service"] == "search"
    assert one["ended"] == "2026-11-09T15:00:00Z"  # twelve hours after it began
    assert one["is_over"]
    during = sum(Decimal(str(round(1.5 * (1 + 0.03 * ((hour * 7) % 5)) * 8, 4))) for hour in range(171, 183))
    cost = during - 12 * Decimal(one["alert"]["expected_usd_per_hour"])
    assert Decimal(one["cost"]) == cost
    # Told when the first hour was over; a daily bill of 9 November is there at the end of the 10th.
    assert (one["saving"]["ours"], one["saving"]["bills"]) == (3600.0, 45 * 3600.0)
    first = Decimal(str(round(1.5 * (1 + 0.03 * ((171 * 7) % 5)) * 8, 4)))
    assert Decimal(one["saving"]["usd"]) == cost - (first - Decimal(one["alert"]["expected_usd_per_hour"]))
    assert one["changes"][0]["name"]["sku"] == "search-hours"
    assert all(check["holds"] for check in data["checks"])
    for words in ("What it was:", "search-hours", "Saved"):
        assert words in page
        assert words in text


def test_dollars_that_two_alerts_saw_count_once_in_the_sum_of_all(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    _, _, alone = written(run)
    alert = json.loads((run / "alerts.ndjson").read_text())
    same = alert | {
        "alert_id": "same",
        "series": {"team": "ads"},
    }  # the very charges of the service, under another name
    other = alert | {
        "alert_id": "other", "series": {"service": "store"},
        "expected_usd_per_hour": "0.1", "observed_usd_per_hour": "0.5",
    }  # fmt: skip
    (run / "alerts.ndjson").write_text("".join(json.dumps(one) + "\n" for one in (alert, same, other)))
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "alerts": 3}))
    _, _, data = written(run)
    costs = {one["alert"]["alert_id"]: Decimal(one["cost"]) for one in data["incidents"]}
    assert costs[alert["alert_id"]] == costs["same"] == Decimal(alone["cost"]) > 0
    assert costs["other"] > 0
    assert Decimal(data["cost"]) == Decimal(alone["cost"]) + costs["other"]
    assert data["saved"] == alone["saved"]  # by the other's account a daily bill was there first


def test_the_page_stands_alone_and_is_well_formed(tmp_path: Path) -> None:
    page, _, _ = written(run_of(tmp_path))
    found = read(page)
    assert not {"script", "link", "iframe", "img"} & set(found.tags)
    assert all(link.startswith("#") for link in found.links)
    assert "url(" not in page
    assert "@import" not in page
    assert len(page) < 400_000
    titles = re.findall(r"<svg [^>]*role=\"img\" aria-label=\"[^\"]+\"><title>[^<]+</title>", page)
    assert len(titles) == page.count("<svg ") >= 3
    assert page.count("as a table</summary>") >= 3


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    first = written(run)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "wall_seconds": 99, "events_per_second": 1}))
    assert written(run) == first


def test_whatever_a_tag_holds_is_text(tmp_path: Path) -> None:
    file = bill(tmp_path / "bill.ndjson")
    file.write_text(file.read_text().replace('"search', json.dumps(NASTY)[:-1]).replace('"ads"', json.dumps(NASTY)))
    replayed(load(), file, tmp_path / "run")
    page, text, data = written(tmp_path / "run")
    assert NASTY in data["incidents"][0]["alert"]["title"]
    assert "<img" not in page
    assert "&lt;img" in page
    read(page)
    assert not re.search(r"(?<!\\)<img", text)
    assert not re.search(r"(?<!\\)`", text)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"hours": 0}, "This history holds no events"),
        ({"hours": 20}, "whole days are too few"),
        ({"times": 1.0}, "Nothing paged"),
        ({"currencies": ("EUR",)}, "EUR: no dated rate converts it to USD"),
        ({"currencies": ("USD", "EUR", "GBP")}, "EUR, GBP: no dated rate converts it to USD"),
    ],
)
def test_histories_with_little_to_say(tmp_path: Path, how: dict[str, Any], said: str) -> None:
    page, text, data = written(run_of(tmp_path, **how))
    assert said in page
    read(page)
    assert data["checks"]
    assert text.startswith("# What the spend did")
    assert [one["currency"] for one in data["spend"]] == sorted(
        how.get("currencies", ("USD",)) if how.get("hours", 1) else (), key=lambda name: (name != "USD", name)
    )


def test_money_of_two_currencies_is_never_added(tmp_path: Path) -> None:
    _, _, data = written(run_of(tmp_path, currencies=("USD", "EUR"), times=1.0, hours=24))
    per_currency = {one["currency"]: Decimal(one["total"]) for one in data["spend"]}
    assert per_currency["USD"] == per_currency["EUR"] == Decimal(data["totals"]["EUR"])


def test_a_run_that_does_not_reconcile_fails_and_says_so(tmp_path: Path) -> None:
    run = run_of(tmp_path, hours=30)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "effective_cost": {"USD": "1.00"}}))
    page, _, data = written(run, fails=1)
    assert "DOES NOT HOLD" in page
    assert [check["holds"] for check in data["checks"]].count(False) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (None, None, "is no folder of a replay"),
        ("summary.json", "{}", "is no summary of a replay"),
        ("summary.json", "{", "can't be read"),
        ("charges.parquet", "PAR1", "charges.parquet: can't be read"),
        ("alerts.ndjson", '{"alert_id": 1}\n', "alerts.ndjson: line 1: "),
    ],
)
def test_a_folder_that_is_no_run_is_said_in_one_line(
    tmp_path: Path, name: str | None, content: str | None, said: str
) -> None:
    run = tmp_path / "nothing"
    if name is not None and content is not None:
        run = run_of(tmp_path, hours=3)
        (run / name).write_text(content)
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_only_known_endings(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--out", "report.pdf"])
    assert result.exit_code == 2
    assert "must end in" in result.output


def test_the_incident_of_october_2018_is_found_and_named(tmp_path: Path) -> None:
    """A second Glue development endpoint (5 DPU at 0.44 USD an hour) was left running from 9 to 16 October: USD 328.82
    by the bill's own lines, as `SELECT sum(unblended_cost) WHERE resource = 'id-ea7916d2c0'` gives it."""
    file = shared("data/aws_cur") / "cur_line_items_2018-10.csv.gz"
    replayed(load(), file, tmp_path / "run")
    _, text, data = written(tmp_path / "run")
    glue = next(one for one in data["incidents"] if one["alert"]["series"].get("service") == "AWSGlue")
    assert glue["alert"]["detected_at"] < "2018-10-10T12:00"
    assert glue["ended"].startswith("2018-10-16T0")
    assert glue["changes"][0]["name"]["resource"] == "id-ea7916d2c0"
    assert glue["changes"][0]["name"]["sku"] == "USE1-DEVED-DPU-Hour"
    assert glue["changes"][0]["first_seen"] == "2018-10-09T23:00:00Z"
    assert 230 < float(glue["cost"]) < 330
    assert "id\\-ea7916d2c0" in text or "id-ea7916d2c0" in text
