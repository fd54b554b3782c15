"""Wrong rate cards and exchange rates stop the start with one clear error each: file, row, field."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.io.rates import RatesError, load_pricer

GOOD = """
[[gpu]]
provider = "acme"
accelerator = "nvidia-h100-80gb"
from = 2026-01-01
price_per_gpu_hour = 2.50
source = "list"
"""
SECOND = GOOD.replace("2026-01-01", "2026-03-01")

WRONG = {
    "overlap": (
        GOOD.replace("source", "until = 2026-04-01\nsource") + SECOND, "row 2, field from: 2026-03-01 overlaps",
    ),
    "gap": (GOOD.replace("source", "until = 2026-02-01\nsource") + SECOND, "row 2, field from: gap"),
    "duplicate": (GOOD + GOOD, "row 2, field from: 2026-01-01 is given twice"),
    "negative": (GOOD.replace("2.50", "-1"), "row 1, field price_per_gpu_hour:"),
    "unknown currency": (GOOD + 'currency = "XXZ"', "row 1, field currency: XXZ has no exchange rate"),
    "unknown field": (GOOD + "discont = 3", "row 1, field discont: unknown field"),
    "unknown table": ("[[gpus]]\nprovider = 'x'", "[[gpus]]: must be one of"),
    "bad date": (GOOD.replace("2026-01-01", '"2026-02-30"'), "row 1, field from:"),
    "date with a time": (GOOD.replace("2026-01-01", "2026-01-01T00:00:00Z"), "row 1, field from: must be a date"),
    "until before from": (GOOD + "until = 2025-01-01", "row 1, field row: until must be after from"),
    "bad number": (GOOD.replace("2.50", '"2,50"'), "row 1, field price_per_gpu_hour:"),
    "not a number": (GOOD.replace("2.50", "nan"), "row 1, field price_per_gpu_hour:"),
    "no source": (GOOD.replace('source = "list"', ""), "row 1, field source: Field required"),
    "no price": (GOOD.replace("price_per_gpu_hour = 2.50", ""), "row 1, field row: exactly one of"),
    "not TOML": ("[[gpu]\nprovider", "is not TOML"),
    "unknown price key": (
        '[[token]]\nprovider = "x"\nfrom = 2026-01-01\nprices = { input = 1 }\nsource = "s"',
        "row 1, field prices.input: is no price key",
    ),
    "prices that genai-prices can't apply": (
        '[[token]]\nprovider = "x"\nfrom = 2026-01-01\nprices = { cache_read_mtok = 1 }\nsource = "s"',
        "row 1, field prices.cache_read_mtok: Missing ancestor price",
    ),
    "two ways": (
        '[[token]]\nprovider = "x"\nfrom = 2026-01-01\nprices = { input_mtok = 1 }\nfactor = 0.5\nsource = "s"',
        "row 1, field row: exactly one of",
    ),
    "discount above the whole": (
        '[[discount]]\nprovider = "x"\nfrom = 2026-01-01\npercent = 101\nsource = "s"', "row 1, field percent:",
    ),
    "provisioned without its price": (
        '[[commitment]]\nkind = "provisioned"\nprovider = "x"\nfrom = 2026-01-01\nsource = "s"',
        "row 1, field row: provisioned needs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_rate_card_gives_one_clear_error(case: str, tmp_path: Path) -> None:
    text, message = WRONG[case]
    (tmp_path / "acme.toml").write_text(text)
    with pytest.raises(RatesError) as caught:
        load_pricer(tmp_path)
    assert len(caught.value.faults) == 1, caught.value.faults
    assert caught.value.faults[0].startswith("acme.toml: ")
    assert message in caught.value.faults[0]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("2.50", "-1"))
    (tmp_path / "b.toml").write_text(GOOD + "discont = 3")
    with pytest.raises(RatesError) as caught:
        load_pricer(tmp_path)
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["a.toml", "b.toml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,currency,usd\n", "row 1: the columns must be date,currency,usd"),
        ("date,currency,usd\n2026-01-01,EUR,zero\n", "row 2, field usd:"),
        ("date,currency,usd\n2026-01-01,EUR,0\n", "row 2, field usd:"),
        ("date,currency,usd\n2026-13-01,EUR,1.1\n", "row 2, field date:"),
        ("date,currency,usd\n2026-01-01,euro,1.1\n", "row 2, field currency:"),
        ("date,currency,usd\n2026-01-01,EUR,1.1\n2026-01-01,EUR,1.2\n", "row 3, field date: 2026-01-01 is given twice"),
    ],
)
def test_wrong_exchange_rates_give_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "fx.csv"
    file.write_text(text)
    with pytest.raises(RatesError) as caught:
        load_pricer(None, file)
    assert len(caught.value.faults) == 1
    assert message in caught.value.faults[0]


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(RatesError) as caught:
        load_pricer(tmp_path / "nowhere", tmp_path / "fx.csv")
    assert len(caught.value.faults) == 2


def test_a_currency_with_a_rate_is_known(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD + 'currency = "EUR"')
    fx = tmp_path / "fx.csv"
    fx.write_text("date,currency,usd\n2026-01-01,EUR,1.25\n")
    assert load_pricer(tmp_path, fx)
