"""Every real bill and usage trace: how many events, how many dead letters and why, and sums that equal the file's own.

The sums of the files are taken here with `csv` and Decimal and nothing of the readers.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from replay.readers import Item, read
from schemas.events import UsageEvent
from streams.settings import Settings
from tests.support.reading import data, taken
from tests.support.replaying import replayed
from tests.support.shared import shared

Money = dict[str, Decimal]


@dataclass(frozen=True)
class Bill:
    """What a bill's file holds. `billed` and `currency` are its own columns; `letters` by reason and field."""

    file: str
    events: int
    billed: str
    currency: str
    effective: str = ""  # its own column, where it has one
    letters: dict[tuple[str, str], int] = field(default_factory=dict, hash=False)


FOCUS = Bill("focus_sample/focus_sample.csv", 1000, "BilledCost", "BillingCurrency", "EffectiveCost")
AWS = Bill(
    "focus_converters/aws_cur_2023-11_anonymous.csv", 1281, "lineItem/UnblendedCost", "lineItem/CurrencyCode",
    "lineItem/UnblendedCost",  # it holds usage and taxes only, of which nothing is amortised
)  # fmt: skip
OCTOBER = Bill("aws_cur/cur_line_items_2018-10.csv.gz", 119_307, "unblended_cost", "currency")
EMPTY = Bill(
    "billing_fixtures/aws_cost_report.fivetran.csv", 0, "line_item_unblended_cost", "line_item_currency_code",
    letters={("missing_field", "time"): 20},  # every cost, period and currency of it is empty
)  # fmt: skip
ACTUAL = Bill("billing_fixtures/azure_EA_ActualCost_Small.finops-toolkit.csv", 11, "Cost", "BillingCurrency")
AMORTISED = Bill("billing_fixtures/azure_EA_AmortizedCost_Small.finops-toolkit.csv", 28, "", "BillingCurrency", "Cost")
CANADA = Bill(
    "focus_converters/azure_ea_2023-09_anonymous.csv", 27, "CostInBillingCurrency", "BillingCurrencyCode",
    "CostInBillingCurrency",
)  # fmt: skip
TEMPLATE = Bill(
    "billing_fixtures/azure_export_Template.opencost.csv", 87, "costinbillingcurrency", "", "costinbillingcurrency"
)
OCI = Bill("focus_converters/oci_cost_2023-11-13_redacted.csv", 506, "cost/myCost", "cost/currencyCode", "cost/myCost")
GCP = Bill("billing_fixtures/gcp_billing_export_2020-11.koku.csv", 25 + 8, "", "currency")  # 8 credits
BILLS = (FOCUS, AWS, EMPTY, ACTUAL, AMORTISED, CANADA, TEMPLATE, OCI, GCP)
every = pytest.mark.parametrize("bill", BILLS, ids=lambda bill: Path(bill.file).name)


def rows(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def summed(amounts: Iterable[tuple[str, str]]) -> Money:
    """Decimal text, summed by currency."""
    sums: Money = defaultdict(Decimal)
    for currency, amount in amounts:
        sums[currency] += Decimal(amount)
    return dict(sums)


def own_sums(path: Path, column: str, currency: str) -> Money:
    """A column of the file by its currency: XXX, no currency, where it has none."""
    return summed((row[currency] if currency else "XXX", row[column]) for row in rows(path) if row[column])


def event_sums(items: list[Item], name: str) -> Money:
    return summed((data(item)["BillingCurrency"], str(data(item)[name])) for item in items)


ItemsOf = Callable[[Bill], list[Item]]


@pytest.fixture(scope="module")
def items_of() -> ItemsOf:
    """Reads a bill once for all tests."""
    return cache(lambda bill: list(read(shared("data") / bill.file)))


@every
def test_a_bill_loses_no_row_and_no_digit(bill: Bill, items_of: ItemsOf) -> None:
    path = shared("data") / bill.file
    items = items_of(bill)
    found = [taken(item) for item in items]
    letters = Counter((one.reason.value, one.field) for one in found if not isinstance(one, UsageEvent))
    good = [item for item, one in zip(items, found, strict=True) if isinstance(one, UsageEvent)]
    assert (len(good), dict(letters)) == (bill.events, bill.letters)
    if bill.billed:
        assert event_sums(good, "BilledCost") == own_sums(path, bill.billed, bill.currency)
    if bill.effective:
        assert event_sums(good, "EffectiveCost") == own_sums(path, bill.effective, bill.currency)


@pytest.mark.parametrize(
    "bill", [OCTOBER, *(bill for bill in BILLS if bill is not EMPTY)], ids=lambda bill: Path(bill.file).name
)
def test_the_whole_way_to_charges(tmp_path: Path, bill: Bill) -> None:
    """The sums of charges.parquet. Money is kept to 18 places, which only Azure's amortised export exceeds."""
    path = shared("data") / bill.file
    # Watched as a whole only: what is charged does not depend on it, and watching each series takes most of the time.
    run = replayed(Settings.model_validate({"roll": {"series": [[]]}}), path, tmp_path / "out")
    assert (run.summary["charged"], run.summary["dead_lettered"]) == (bill.events, 0)
    assert run.summary["duplicates"] == 0
    charges = pq.read_table(tmp_path / "out" / "charges.parquet", columns=["currency", "billed_cost", "effective_cost"])
    for cost, column in (("billed_cost", bill.billed), ("effective_cost", bill.effective)):
        if column:
            sums = summed((row["currency"], str(row[cost])) for row in charges.to_pylist())
            assert sums == rounded_sums(path, column, bill.currency)


def rounded_sums(path: Path, column: str, currency: str) -> Money:
    places = Decimal("1e-18")
    return summed(
        (row[currency] if currency else "XXX", str(Decimal(row[column]).quantize(places)))
        for row in rows(path)
        if row[column]
    )


def test_october_by_department_and_amortised(items_of: ItemsOf) -> None:
    """Dollars of each department; effective costs are those of the reservations where these cover the usage."""
    path = shared("data") / OCTOBER.file
    expected: Money = defaultdict(Decimal)
    effective = Decimal(0)
    for row in rows(path):
        expected[row["tag_department"]] += Decimal(row["unblended_cost"])
        covered = row["line_item_type"] == "DiscountedUsage"
        if row["line_item_type"] != "RIFee":
            effective += Decimal(row["reservation_effective_cost" if covered else "unblended_cost"])
    items = items_of(OCTOBER)
    found: Money = defaultdict(Decimal)
    for item in items:
        found[data(item)["Tags"].get("department", "")] += Decimal(data(item)["BilledCost"])
    assert found == expected
    assert len(found) == 6
    assert sum((Decimal(data(item)["EffectiveCost"]) for item in items), Decimal(0)) == effective


def test_azure_actual_and_amortised_differ_by_the_commitments(items_of: ItemsOf) -> None:
    actual = items_of(ACTUAL)
    effective = own_sums(shared("data") / ACTUAL.file, "Cost", "BillingCurrency")["USD"] - Decimal("3.25")
    assert event_sums(actual, "EffectiveCost") == {"USD": effective}  # without the reservation that was bought
    covered = Decimal("0.493152") + Decimal("0.006000000468")  # a reservation's usage, and a savings plan's
    billed = own_sums(shared("data") / AMORTISED.file, "Cost", "BillingCurrency")["USD"] - covered
    assert event_sums(items_of(AMORTISED), "BilledCost") == {"USD": billed}


def test_gcp_costs_and_credits(items_of: ItemsOf) -> None:
    path = shared("data") / GCP.file
    costs = sum((Decimal(row["cost"]) for row in rows(path)), Decimal(0))
    credits_ = [credit for row in rows(path) for credit in ast.literal_eval(row["credits"])]
    credited = sum((Decimal(str(credit["amount"])) for credit in credits_), Decimal(0))
    by_category: Money = defaultdict(Decimal)
    for item in items_of(GCP):
        by_category[data(item)["ChargeCategory"]] += Decimal(str(data(item)["BilledCost"]))
    assert by_category == {"Usage": costs, "Credit": credited}
    assert costs == Decimal("0.000032")


def tokens(items: Iterable[Item], *names: str) -> tuple[int, ...]:
    sums = [0] * len(names)
    for item in items:
        for place, name in enumerate(names):
            sums[place] += data(item).get(name, 0)
    return tuple(sums)


def all_events(items: Iterable[Item]) -> bool:
    return all(isinstance(taken(item), UsageEvent) for item in items)


@pytest.mark.parametrize(("name", "calls"), [("code", 8_819), ("conv", 19_366)])
def test_azure_llm(name: str, calls: int) -> None:
    path = shared("data") / f"azure_llm_2023/AzureLLMInferenceTrace_{name}.csv"
    items = list(read(path))
    assert len(items) == calls
    assert all_events(items)
    assert tokens(items, "input_tokens", "output_tokens") == tuple(
        sum(int(row[column]) for row in rows(path)) for column in ("ContextTokens", "GeneratedTokens")
    )


def test_mooncake() -> None:
    path = shared("data") / "mooncake/conversation_trace.jsonl"
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    seen: set[int] = set()
    cached = 0
    for call in calls:
        leading = 0
        while leading < len(call["hash_ids"]) and call["hash_ids"][leading] in seen:
            leading += 1
        cached += min(leading * 512, call["input_length"])
        seen |= set(call["hash_ids"])
    items = list(read(path))
    assert len(items) == len(calls) == 12_031
    assert all_events(items)
    found = tokens(items, "input_tokens", "output_tokens", "cache_read_input_tokens")
    assert found == (sum(c["input_length"] for c in calls), sum(c["output_length"] for c in calls), cached)


@pytest.mark.parametrize(("name", "windows", "without_tokens"), [("deepseek-r1", 3_111, 0), ("m-mid", 106_385, 62_462)])
def test_servegen(name: str, windows: int, without_tokens: int) -> None:
    path = shared("data") / f"servegen/client_windows_{name}.csv.gz"
    requests = inputs = outputs = 0
    for row in rows(path):
        if row["mean_input_tokens"]:
            n = round(float(row["req_per_s"]) * float(row["window_len_s"]))
            requests += n
            inputs += round(Decimal(row["mean_input_tokens"]) * n)
            outputs += round(Decimal(row["mean_output_tokens"]) * n)
    items = list(read(path))
    faults = Counter((item.fault.reason.value, item.fault.field) for item in items if item.fault)
    assert faults == ({("missing_field", "mean_output_tokens"): without_tokens} if without_tokens else {})
    good = [item for item in items if not item.fault]
    assert len(items) == windows
    assert all_events(good[:1000])
    assert tokens(good, "requests", "input_tokens", "output_tokens") == (requests, inputs, outputs)


def test_philly() -> None:
    """GPU-seconds, which are whole: minutes are not."""
    path = shared("data") / "philly/philly_jobs.csv"
    jobs = list(rows(path))
    events, gpu_seconds, newest = 0, 0, 0.0
    samples: list[Any] = []
    for item in read(path):
        gpu_seconds += round(data(item)["gpu_minutes"] * 60)
        assert item.time is not None
        assert item.time >= newest
        newest = item.time
        if events % 400 == 0:
            samples.append(item)
        events += 1
    assert len(jobs) == 82_247
    assert events == 380_835
    assert gpu_seconds == sum(Decimal(job["gpu_time"]) for job in jobs)
    assert all_events(samples)
