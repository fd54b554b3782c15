"""A replay by column leaves what a replay row by row leaves: every charge, dead letter, finding, alert and sum."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from streams.settings import Settings
from tests.support.bills import SPIKE
from tests.support.replaying import Replayed, replayed
from tests.support.shared import shared
from tests.unit.replay.test_sheets import BILLS

TIMES = {"wall_seconds", "events_per_second"}


def both(file: Path, out: Path, settings: Settings) -> tuple[Replayed, Replayed]:
    return replayed(settings, file, out / "column"), replayed(settings, file, out / "row", by_column=False)


def assert_same(one: Replayed, other: Replayed) -> None:
    assert pq.read_table(one.folder / "charges.parquet").equals(pq.read_table(other.folder / "charges.parquet"))
    for name in ("dead_letters.ndjson", "findings.ndjson", "alerts.ndjson"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    assert {name: value for name, value in one.summary.items() if name not in TIMES} == {
        name: value for name, value in other.summary.items() if name not in TIMES
    }


@pytest.mark.parametrize("name", BILLS)
def test_both_ways_of_replaying(tmp_path: Path, name: str) -> None:
    settings = Settings.model_validate(
        {"alerts": {"min_excess_usd": 1}, "roll": {"series": [[], ["service", "account"]]}}
    )
    by_column, by_row = both(shared("data") / name, tmp_path, settings)
    assert_same(by_column, by_row)
    if name.startswith("aws_cur/"):
        assert by_column.summary["findings"]


def test_a_made_up_incident_is_found_both_ways(tmp_path: Path) -> None:
    """Hourly lines of ten days, odd rows among them; for half a day a service costs eight times as much."""
    header = (
        "BilledCost,EffectiveCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ServiceName,Tags"
    )
    lines = []
    for hour in range(240):
        start, end = (f"2026-11-{2 + h // 24:02}T{h % 24:02}:00:00Z" for h in (hour, hour + 1))
        for part in range(20):
            cost = 0.05 * (1 + 0.03 * (hour * 7 % 5)) * (8 if SPIKE[0] <= hour < SPIKE[1] and part < 10 else 1)
            service, tags = ("search", '"{""team"": ""ads""}"') if part < 10 else ("store", "")
            lines.append(f"{cost:.6f},{cost:.6f},USD,Usage,{start},{end},{service},{tags}")
        lines.append(
            f"1,1,usd,Usage,{start},{end},search," if hour % 9 else f"1e-3,1e-3,USD,Usage,{start},{end},search,"
        )
    path = tmp_path / "bill.csv"
    path.write_text("\n".join([header, *lines, lines[7]]) + "\n", encoding="utf-8")
    by_column, by_row = both(path, tmp_path, Settings.model_validate({"alerts": {"min_excess_usd": 1}}))
    assert_same(by_column, by_row)
    assert by_column.summary["alerts"] == 1
    assert by_column.summary["dead_lettered"] == 213
