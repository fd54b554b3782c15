"""Exports are FOCUS 1.4 by a validator that we did not write, and cost what the charges cost."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from focus_data_toolkit.model.validator import lint_focus_1_4_structure
from typer.testing import CliRunner

from replay.export import COLUMNS
from replay.export_files import Output
from streams.cli import app
from streams.settings import Settings
from tests.support.replaying import replayed
from tests.support.shared import shared

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
SONNET = "claude-sonnet-4-5-20250929"  # 3 USD in, 15 out, 0.30 cached, 3.75 written, 6 for an hour; per million
BILLS = (
    "focus_sample/focus_sample.csv",
    "focus_converters/aws_cur_2023-11_anonymous.csv",
    "focus_converters/oci_cost_2023-11-13_redacted.csv",
    "billing_fixtures/azure_EA_AmortizedCost_Small.finops-toolkit.csv",
    "billing_fixtures/gcp_billing_export_2020-11.koku.csv",
)
OWN_FAULTS = ["EffectiveCost: effective_cost_differs_from_billed"]  # some taxes of the FOCUS sample are so themselves


def call(name: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "/s", "type": "spendstream.token_call.v1",
        "time": "2026-11-02T10:20:30Z", "data": {"provider": "anthropic", "model": SONNET, "principal": "ci", **data},
    }  # fmt: skip


MIXED = call("mixed", input_tokens=1000, cache_read_input_tokens=600, cache_creation_input_tokens=100,
             cache_creation_1h_input_tokens=40, output_tokens=50, tags={"team": "search"})  # fmt: skip
GPU = {
    "specversion": "1.0", "id": "g", "source": "/s", "type": "spendstream.gpu_usage.v1", "time": "2026-11-02T10:00:00Z",
    "data": {"provider": "aws", "accelerator": "H100", "gpu_minutes": 8},
}  # fmt: skip


def replay_of(tmp_path: Path, events: Iterable[dict[str, Any]]) -> Path:
    (tmp_path / "events.ndjson").write_text("\n".join(json.dumps(event) for event in events))
    return replayed(whole(), tmp_path / "events.ndjson", tmp_path / "out").folder


def whole() -> Settings:
    return Settings.model_validate({"roll": {"series": [[]]}})


def exported(folder: Path, out: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["export", str(folder), "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    return result.output


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def faults(rows: list[dict[str, str]]) -> list[str]:
    report = lint_focus_1_4_structure("Cost and Usage", rows)
    return sorted({f"{fault.column}: {fault.rule}" for fault in report.violations})


def test_the_validator_finds_faults() -> None:
    """So that its silence means something."""
    assert faults([dict.fromkeys(COLUMNS, "") | {"BilledCost": "a lot", "Colour": "red"}])


@pytest.mark.parametrize("file", BILLS, ids=lambda file: Path(file).name)
def test_a_bill_goes_out_as_it_came_in(tmp_path: Path, file: str) -> None:
    run = replayed(whole(), shared("data") / file, tmp_path / "out")
    exported(run.folder, tmp_path / "bill.csv")
    rows = lines(tmp_path / "bill.csv")
    assert faults(rows) == (OWN_FAULTS if file == BILLS[0] else [])
    charges = run.charges(["source", "id", "part", "currency", "billed_cost", "effective_cost"])
    assert len(rows) == len(charges)
    for column, field in (("BilledCost", "billed_cost"), ("EffectiveCost", "effective_cost")):
        assert sums(rows, column) == sums(charges, field, "currency")


def sums(rows: Iterable[dict[str, Any]], column: str, currency: str = "BillingCurrency") -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row[currency]] += Decimal(row[column])
    return dict(found)


def test_a_call_is_a_row_for_each_kind_of_its_tokens(tmp_path: Path) -> None:
    exported(replay_of(tmp_path, [MIXED]), tmp_path / "f.csv", "--billing-account", "acme")
    rows = lines(tmp_path / "f.csv")
    assert faults(rows) == []
    told = {
        (details["x_TokenDirection"], details["x_TokenCacheAction"], details.get("x_CacheTimeToLive")): (
            int(row["ConsumedQuantity"]), Decimal(row["ListCost"]),
        )
        for row in rows
        if (details := json.loads(row["SkuPriceDetails"]))
    }  # fmt: skip
    assert told == {
        ("Input", "Uncached", None): (300, Decimal("0.0009")),
        ("Input", "Read", None): (600, Decimal("0.00018")),
        ("Input", "Write", None): (60, Decimal("0.000225")),
        ("Input", "Write", "1h"): (40, Decimal("0.00024")),
        ("Output", "Uncached", None): (50, Decimal("0.00075")),
    }
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == Decimal("0.002295")
    assert sum(int(row["x_Requests"]) for row in rows) == 1
    assert {row["x_Team"] for row in rows} == {"search"}
    assert {row["BillingAccountId"] for row in rows} == {"acme"}
    assert {row["ChargePeriodStart"] for row in rows} == {"2026-11-02T10:00:00Z"}
    assert {row["ServiceSubcategory"] for row in rows} == {"Generative AI"}


def test_discounts_and_shares_keep_their_sums(tmp_path: Path) -> None:
    """A third of a call's cost falls on each of its rows' parts to the last digit."""
    events = [call(str(n), input_tokens=7 * n + 1, cache_read_input_tokens=3 * n, output_tokens=n) for n in range(50)]
    folder = replay_of(tmp_path, events)
    exported(folder, tmp_path / "f.csv")
    charges = pq.read_table(folder / "charges.parquet").to_pylist()
    rows = lines(tmp_path / "f.csv")
    assert faults(rows) == []
    for column, field in zip(COSTS, ("billed_cost", "effective_cost", "list_cost", "contracted_cost"), strict=True):
        by_event: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            by_event[row["x_EventId"]] += Decimal(row[column])
        assert by_event == {charge["id"]: charge[field] for charge in charges}


def test_what_has_no_known_cost_is_left_out_and_said(tmp_path: Path) -> None:
    unknown = call("u", input_tokens=5) | {"id": "u"}
    unknown["data"]["model"] = "a-model-nobody-sells"
    said = exported(replay_of(tmp_path, [MIXED, unknown]), tmp_path / "f.csv")
    assert "left out: 1 charges whose cost is not known" in said
    assert {row["x_EventId"] for row in lines(tmp_path / "f.csv")} == {"mixed"}


def test_a_call_whose_kinds_are_not_its_whole_cost_stays_one_row(tmp_path: Path) -> None:
    searching = call("s", input_tokens=100, output_tokens=10, counts={"web_searches": 2})
    exported(replay_of(tmp_path, [searching, GPU]), tmp_path / "f.csv")
    rows = lines(tmp_path / "f.csv")
    assert faults(rows) == []
    (row,) = [row for row in rows if row["x_EventId"] == "s"]
    assert (row["ConsumedQuantity"], row["SkuPriceDetails"]) == ("110", "")
    assert Decimal(row["ListCost"]) > Decimal("0.02")  # the searches are in it


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    folder = replay_of(tmp_path, [MIXED, GPU])
    exported(folder, tmp_path / "f.csv")
    exported(folder, tmp_path / "f.parquet")
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.schema.names == list(COLUMNS)
    found = table.to_pylist()
    for row, line in zip(found, lines(tmp_path / "f.csv"), strict=True):
        for column in (*COSTS, "ConsumedQuantity"):
            assert Decimal(line[column]) == row[column]
        assert (line["x_EventId"], line["SkuPriceId"]) == (row["x_EventId"], row["SkuPriceId"] or "")


def test_what_is_cut_off_leaves_no_file_that_looks_whole(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("from before")

    def write() -> None:
        with Output(path) as output:
            output.add({"BilledCost": Decimal(1)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [file.name for file in tmp_path.iterdir()] == ["f.csv"]
    assert path.read_text() == "from before"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere", "--out", "f.csv"], "nowhere: does not exist"),
        (["nowhere", "--out", "f.txt"], "f.txt must end in .csv or .parquet"),
        (["--out", "f.csv"], "--from, --to: are needed"),
        (["nowhere", "--out", "f.csv", "--from", "2026-01-01"], "a replay is exported whole"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], problem: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", *[str(tmp_path / a) if a == "f.csv" else a for a in arguments]])
    assert result.exit_code == 2
    assert problem in result.output
    assert "Traceback" not in result.output
