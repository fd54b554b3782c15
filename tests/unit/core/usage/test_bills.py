"""A sheet of a bill becomes the same charges and dead letters as its lines one by one."""

from __future__ import annotations

import csv
import random
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.readers import read
from schemas.records import Position
from schemas.rules import Rule, RulesFile, Split
from streams.core.price import Pricer
from streams.core.tag import Owner, Tagger
from streams.core.usage.bounds import Bounds
from streams.core.usage.charge import Charged, Charger
from streams.core.usage.decode import RawRecord
from streams.core.usage.sheet import Sheet
from streams.io.rates import load_pricer
from tests.support.sheets import pieces

LINE = {
    "BilledCost": "1.10", "EffectiveCost": "1.00", "ListCost": "1.10", "BillingCurrency": "USD",
    "ChargeCategory": "Usage", "ChargePeriodStart": "2026-11-02T00:00:00Z", "ChargePeriodEnd": "2026-11-02T01:00:00Z",
    "ServiceName": "S3", "SubAccountId": "a-1", "ResourceId": "r-1", "SkuId": "k", "SkuMeter": "",
    "ListUnitPrice": "0.5", "ContractedUnitPrice": "", "ConsumedQuantity": "2", "Tags": '{"team": "a"}',
}  # fmt: skip
RULES = RulesFile(
    rule=[
        Rule(name="dead", match={"resource": ("r-2*",)}, team="graveyard", override=True),
        Rule(name="shared", match={"service": ("Support",)}, split="all"),
        Rule(name="by-tag", match={"tags.app": ("x",), "account": ("a-2",)}, team="x"),
        Rule(name="source", match={"source": ("/bills/focus",), "region": ("eu-*",)}, team="eu"),
    ],
    split=[Split.model_validate({"name": "all", "from": "2026-01-01", "measured": {"a": 1, "b": 2}})],
)
CHANGES = {
    "EffectiveCost": ("0", "-3.3", "5e-06", "999999999999.123456789012345678", "1e30", "", "x"),
    "BillingCurrency": ("EUR", "GBP", "eur"),
    "ChargePeriodStart": ("2026-09-02T00:00:00+02:00", "1999-12-31T00:00:00Z", "2085-01-01T00:00:00Z"),
    "ChargePeriodEnd": ("2026-12-02T00:00:00Z", "2090-01-01T00:00:00Z", "2026-11-01T00:00:00Z"),
    "ServiceName": ("Support", "EC2", "x" * 300, ""),
    "SubAccountId": ("a-2", ""),
    "ResourceId": ("r-2", "r-22", ""),
    "SkuMeter": ("BoxUsage",),
    "ListUnitPrice": ("", "0.50", "7"),
    "ContractedUnitPrice": ("0.5", "0.4"),
    "Tags": ("", "{}", '{"app": "x"}', '{"team": " A "}', '{"a": null}', '{"k": "' + "v" * 5000 + '"}', "no JSON"),
}


@pytest.fixture(scope="module")
def charger(tmp_path_factory: pytest.TempPathFactory) -> Charger:
    fx = tmp_path_factory.mktemp("fx") / "fx.csv"
    fx.write_text("date,currency,usd\n2026-09-01,EUR,1.1\n2026-10-02,EUR,1.234567890123456789\n")
    return Charger(load_pricer(None, fx), Tagger(RULES, {"someone": Owner(team="z")}), Bounds())


def both_ways(charger: Charger, path: Path) -> tuple[list[Charged], list[Charged], int]:
    """What comes of each piece by column, and of its lines one by one; and how many lines stood in sheets."""
    by_column, by_line, rows = [], [], 0
    items = iter(read(path))
    for piece in pieces(path):
        size = piece.lines.num_rows if isinstance(piece, Sheet) else 1
        some = [next(items) for _ in range(size)]
        if isinstance(piece, Sheet):
            rows += size
            raws = [RawRecord(None, (), Position("f", 0, item.row), None) for item in some]
            by_line.append(
                charger.charge_all(raws, [item.event if item.fault is None else item.fault for item in some])
            )
            by_column.append(charger.charge_sheet("f", piece))
    assert next(items, None) is None
    return by_column, by_line, rows


def assert_same(one: Charged, other: Charged) -> None:
    assert one.block.table().to_pylist() == other.block.table().to_pylist()
    assert np.array_equal(one.block.records, other.block.records)
    assert one.block.identities.equals(other.block.identities)
    assert one.dead_letters == other.dead_letters
    assert list(one.block) == list(other.block)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_sheet_is_its_lines(tmp_path: Path, charger: Charger, data: st.DataObject) -> None:
    change = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in CHANGES.items()})
    rows = [LINE | one for one in data.draw(st.lists(change, min_size=1, max_size=30))] + [LINE] * 16
    path = written(tmp_path / "bill.csv", rows)
    for by_column, by_line in zip(*both_ways(charger, path)[:2], strict=True):
        assert_same(by_column, by_line)


def test_shared_lines_and_lines_out_of_bounds_stand_where_they_stood(tmp_path: Path, charger: Charger) -> None:
    rng = random.Random(5)
    rows = [LINE | {"ResourceId": f"r-{rng.randrange(40)}", "EffectiveCost": f"{rng.random():.9f}"} for _ in range(300)]
    for row in rows[::7]:
        row |= {"ServiceName": "Support", "Tags": ""}
    for row in rows[::11]:
        row["ChargePeriodEnd"] = "2090-01-01T00:00:00Z"
    (by_column,), (by_line,), size = both_ways(charger, written(tmp_path / "bill.csv", rows))
    assert size == 300
    assert_same(by_column, by_line)
    assert {charge.allocation for charge in by_column.block} == {"tags", "dead", "shared"}
    assert len(by_column.dead_letters) == 28


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(LINE))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_an_error_of_ours_costs_the_lines_beside_it_nothing(
    tmp_path: Path, charger: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usd(self: Pricer, currency: str, day: date) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Pricer, "usd", usd)
    path = written(tmp_path / "bill.csv", [LINE | {"BillingCurrency": "EUR"}, *[LINE] * 20])
    (by_column,), (by_line,), _ = both_ways(charger, path)
    assert_same(by_column, by_line)
    assert by_column.events == 21
