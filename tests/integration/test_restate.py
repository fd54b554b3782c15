"""A bill loaded again, on the real engine: what stands afterwards is the bill as it is now, to the last digit.

What the command would send is charged and landed here by the way that it takes behind Kafka.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.records import Position
from schemas.topics import DEAD_LETTERS
from streams import build
from streams.cli import app
from streams.commands.restate import _events, _scope
from streams.core.corrections.restate import Restated
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord
from streams.io.clickhouse import ClickHouseStore
from streams.settings import ClickHouse, Settings
from tests.support.spending import land

Row = dict[str, str]
OFFSETS = count(1)
COLUMNS = (
    "BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd",
    "ServiceName", "SubAccountId", "ConsumedQuantity", "ConsumedUnit", "Tags",
)  # fmt: skip


def row(cost: str, day: int = 1, account: str = "a", team: str = "search", service: str = "S3") -> Row:
    values = (
        cost, cost, "USD", "Usage", f"2026-10-{day:02} 00:00:00", f"2026-10-{day:02} 01:00:00", service, account, "3",
        "Hours", f'{{"team": "{team}"}}',
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


BILL = [row("1.10"), row("1.10"), row("2", day=2), row("3", day=2, team="ads"), row("0.000000000000000001", day=4)]


@pytest.fixture
def charger() -> Charger:
    return build.charger(Settings())


@pytest.fixture
def load(store: ClickHouseStore, charger: Charger, tmp_path: Path) -> Callable[[list[Row]], Restated]:
    """Loads a bill as the command does, and lands what it would send; says what it came to."""

    def loads(bill: list[Row]) -> Restated:
        file = written(tmp_path, bill)
        done = Restated()
        charges = []
        for record in _events(store, charger, file, _scope(file), done):
            if record.topic is not DEAD_LETTERS:
                raw = RawRecord(record.value, (), Position(record.topic.name, 0, next(OFFSETS)), None)
                charged = charger.charge(raw)
                assert charged.dead_letters == []
                charges += charged.charges
        assert done.otherwise == 0
        if charges:
            land(store, charges, f"batch-{next(OFFSETS)}")
        return done

    return loads


def written(folder: Path, bill: list[Row]) -> Path:
    path = folder / "bill.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(bill)
    return path


def spent(store: ClickHouseStore) -> dict[tuple[str, str, str], tuple[Decimal, Decimal]]:
    """Billed cost and quantity by day, account and team; what came to nothing is nothing."""
    found = store.query(
        "SELECT toString(toDate(time)) AS day, account, team, sum(billed_cost) AS billed, sum(quantity) AS quantity "
        "FROM charges GROUP BY day, account, team HAVING billed != 0 OR quantity != 0"
    )
    return {(r["day"], r["account"], r["team"]): (r["billed"], r["quantity"]) for r in found}


def expected(bill: list[Row]) -> dict[tuple[str, str, str], tuple[Decimal, Decimal]]:
    """By the bill's own cells."""
    sums: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = {}
    for one in bill:
        key = (one["ChargePeriodStart"][:10], one["SubAccountId"], one["Tags"][10:-2])
        billed, quantity = sums.get(key, (Decimal(0), Decimal(0)))
        sums[key] = (billed + Decimal(one["BilledCost"]), quantity + Decimal(one["ConsumedQuantity"]))
    return sums


def told(done: Restated) -> tuple[int, int, int]:
    return done.unchanged, done.added, done.taken_back


CHANGES: dict[str, tuple[list[Row], tuple[int, int, int]]] = {
    "nothing": (BILL, (5, 0, 0)),
    "in another order": (BILL[::-1], (5, 0, 0)),
    "a row more": ([*BILL, row("9", day=3)], (5, 1, 0)),
    "a row less": (BILL[:-2] + BILL[-1:], (4, 0, 1)),
    "one of two equal rows less": (BILL[1:], (4, 0, 1)),
    "another cost": ([row("1.05"), *BILL[1:]], (4, 1, 1)),
    "another team": ([*BILL[:3], row("3", day=2, team="risk"), BILL[4]], (4, 1, 1)),
    "a whole day gone": ([one for one in BILL if "10-02" not in one["ChargePeriodStart"]], (3, 0, 2)),
    "all other": ([row("7", day=1), row("8", day=4)], (0, 2, 5)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stands_is_the_bill_as_it_is_now(load: Any, store: ClickHouseStore, change: str) -> None:
    bill, came_to = CHANGES[change]
    assert told(load(BILL)) == (0, 5, 0)
    assert spent(store) == expected(BILL)
    done = load(bill)
    assert told(done) == came_to
    assert sum(done.change.values()) == total(bill) - total(BILL)
    assert spent(store) == expected(bill)
    assert told(load(bill)) == (len(bill), 0, 0)
    assert spent(store) == expected(bill)


def total(bill: list[Row]) -> Decimal:
    return sum((Decimal(one["BilledCost"]) for one in bill), Decimal(0))


def test_a_bill_may_go_back_and_forth(load: Any, store: ClickHouseStore) -> None:
    other = [row("5"), row("6", day=4)]
    for bill in (BILL, other, BILL, other, BILL):
        load(bill)
        assert spent(store) == expected(bill)
    ids = [one["id"] for one in store.query("SELECT id FROM charges GROUP BY id")]
    assert len(ids) == 5 * 5 + 2 * 4  # 5 rows came, went, came, went, came; 2 came and went twice
    back = store.query("SELECT count() AS n FROM charges WHERE charge_class = 'Correction' AND billed_cost < 0")
    assert back[0]["n"] == 5 * 2 + 2 * 2


def test_other_accounts_and_days_are_left_alone(load: Any, store: ClickHouseStore) -> None:
    other, earlier = [row("4", account="b"), row("5", day=3, account="b")], [row("1", day=1)]
    later = [row("2", day=8), row("3", day=9)]
    for bill in (other, later, BILL):
        load(bill)
    assert told(load(earlier)) == (0, 1, 2)  # of the first day alone, and of account a
    assert spent(store) == expected([*other, *later, *earlier, *BILL[2:]])


def test_a_row_that_is_none_is_the_same_dead_letter_each_time(
    load: Any, store: ClickHouseStore, charger: Charger, tmp_path: Path
) -> None:
    bill = [*BILL, row("a lot")]
    assert told(load(bill)) == (0, 5, 0)
    assert told(load(bill)) == (5, 0, 0)
    file = written(tmp_path, bill)
    letters = [[r.value for r in _events(store, charger, file, _scope(file), Restated())] for _ in range(2)]
    assert len(letters[0]) == 1
    assert b'"offset":7' in letters[0][0]


def test_what_today_would_be_charged_otherwise_is_not_taken_back(
    load: Any, store: ClickHouseStore, tmp_path: Path
) -> None:
    load(BILL)
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "all"\noverride = true\nmatch = { service = "S3" }\nteam = "x"\n'
    )
    ruled = build.charger(Settings.model_validate({"prices": {"rules_file": str(tmp_path / "rules.toml")}}))
    file = written(tmp_path, BILL[1:])
    done = Restated()
    list(_events(store, ruled, file, _scope(file), done))
    assert (done.taken_back, done.otherwise) == (1, 1)


def test_the_command_says_what_would_change(load: Any, clickhouse: ClickHouse, tmp_path: Path) -> None:
    load(BILL)
    file = written(tmp_path, [row("1.05"), *BILL[1:]])
    sets = ["--set", f"clickhouse.url={clickhouse.url}", "--set", f"clickhouse.database={clickhouse.database}"]
    result = CliRunner().invoke(app, ["restate", str(file), "--dry-run", "--no-broker", *sets])
    assert result.exit_code == 0, result.output
    assert "4 rows stand, 1 would be added, 1 would be taken back" in result.output
    assert "billed USD -0.05" in result.output


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"specversion": "1.0"}', "is no bill"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n", "is no bill; its usage is priced here"),
    ],
)
def test_what_is_no_bill_is_said(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "file").write_text(text)
    result = CliRunner().invoke(app, ["restate", str(tmp_path / "file"), "--no-broker"])
    assert result.exit_code == 2
    assert problem in result.output
