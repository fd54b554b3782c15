"""Known incidents from files that people write by hand, right and wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from replay.backtest.labels import LabelError, Truth, load
from tests.support.bills import labels as our_labels

HEADER = "series,start,end,kind,excess_usd,expect,id\n"


def of(tmp_path: Path, text: str) -> Truth:
    path = tmp_path / "known.csv"
    path.write_text(text, encoding="utf-8")
    found = load(path)
    assert isinstance(found, Truth)
    return found


def test_a_csv_of_known_incidents(tmp_path: Path) -> None:
    text = (
        HEADER
        + "team=search; model=gpt-4o,2026-11-01,2026-11-02,loop,12.5,finding,a\n"
        + ",2026-11-05T09:00+01:00,2026-11-05T10:00Z,leak,,,\n"
    )
    first, second = of(tmp_path, text).labels
    assert (first.name, first.kind, first.expect, first.excess_usd) == ("a", "loop", "finding", 12.5)
    assert first.series == {"team": "search", "model": "gpt-4o"}
    assert first.end == datetime(2026, 11, 3, tzinfo=UTC)  # a day as end is that whole day
    assert second.start == datetime(2026, 11, 5, 8, tzinfo=UTC)
    assert (second.expect, second.excess_usd, second.series) == ("alert", None, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start,end,kind\n2026-11-01,2026-11-02,loop\n", "no column series"),
        ("", "no column series, start, end, kind"),
        (HEADER + "team=search,2026-11-01\n", "row 2: has another number of cells"),
        (HEADER + "search,2026-11-01,2026-11-02,loop,,,\n", "row 2: series: must be like"),
        (HEADER + "squad=x,2026-11-01,2026-11-02,loop,,,\n", "row 2: series: no such dimension: squad"),
        (HEADER + "team=a,yesterday,2026-11-02,loop,,,\n", "row 2: start: must be a day or a time"),
        (HEADER + "team=a,2026-11-02T10:00,2026-11-02T09:00,loop,,,\n", "row 2: end: must be after start"),
        (HEADER + "team=a,2026-11-01,2026-11-02,loop,much,,\n", "row 2: excess_usd: must be a number"),
        (HEADER + "team=a,2026-11-01,2026-11-02,loop,nan,,\n", "row 2: excess_usd: must be finite"),
        (HEADER + "team=a,2026-11-01,2026-11-02,loop,,maybe,\n", "row 2: expect: must be one of"),
        ('{"labels": [{"series": "x"}]}', "label 1: series: must be an object"),
        ('{"labels": [', "is no JSON"),
        ('{"a.csv": [["2014-04-10"]]}', "window 1 must be"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LabelError, match=r"known\.csv") as error:
        of(tmp_path, text)
    assert said in str(error.value)


def test_our_labels_and_those_of_numenta(tmp_path: Path) -> None:
    ours = load(our_labels(tmp_path / "labels.json"))
    assert isinstance(ours, Truth)
    assert ours.warmup_days == 4
    assert [label.expect for label in ours.labels] == ["alert", "silence"]
    path = tmp_path / "windows.json"
    path.write_text('{"real/a.csv": [["2014-04-10 07:15:00.000000", "2014-04-11 16:45:00.000000"]], "b.csv": []}')
    windows = load(path)
    assert not isinstance(windows, Truth)
    assert [len(of) for of in windows.values()] == [1, 0]
