"""Bills that are not FOCUS: what each row's cells become, and the two costs that differ under commitments."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from replay.readers import azure, cur, gcp, oci, read
from replay.readers.values import given
from schemas.events import UsageEvent
from schemas.records import DeadLetter, Reason
from streams.core.usage.decode import Rejected
from tests.support.reading import data, taken

LEGACY = {
    "lineItem/UnblendedCost": "0.5", "pricing/publicOnDemandCost": "1", "lineItem/CurrencyCode": "USD",
    "lineItem/UsageStartDate": "2026-11-01T00:00:00Z", "lineItem/UsageEndDate": "2026-11-01T01:00:00Z",
    "lineItem/LineItemType": "DiscountedUsage", "lineItem/ProductCode": "AmazonEC2",
    "reservation/EffectiveCost": "0.25", "resourceTags/user:team": "a",
}  # fmt: skip
CUR = [
    LEGACY,
    {
        "line_item_unblended_cost": "0.5", "pricing_public_on_demand_cost": "1", "line_item_currency_code": "USD",
        "line_item_usage_start_date": "2026-11-01 00:00:00.000", "line_item_usage_end_date": "2026-11-01 01:00:00.000",
        "line_item_line_item_type": "DiscountedUsage", "line_item_product_code": "AmazonEC2",
        "reservation_effective_cost": "0.25", "resource_tags_user_team": "a",
    },
    {
        "unblended_cost": "0.5", "public_on_demand_cost": "1", "currency": "USD", "usage_start": "2026-11-01T00:00:00Z",
        "usage_end": "2026-11-01T01:00:00Z", "line_item_type": "DiscountedUsage", "product_code": "AmazonEC2",
        "reservation_effective_cost": "0.25", "tag_team": "a",
    },
]  # fmt: skip


def one_row(path: Path, row: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path


@pytest.mark.parametrize("row", CUR, ids=["legacy", "2.0", "reduced"])
def test_a_cost_and_usage_report_in_any_spelling(tmp_path: Path, row: dict[str, str]) -> None:
    (item,) = read(one_row(tmp_path / "cur.csv", row))
    found = data(item)
    assert (found["BilledCost"], found["EffectiveCost"], found["ListCost"]) == ("0.5", "0.25", "1")
    assert (found["ChargeCategory"], found["Tags"]) == ("Usage", {"team": "a"})
    assert isinstance(taken(item), UsageEvent)


COMMITMENT = {
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "1.5", "reservation/UnusedRecurringFee": "0.25",
    "savingsPlan/TotalCommitmentToDate": "10", "savingsPlan/UsedCommitment": "7.5",
    "savingsPlan/SavingsPlanEffectiveCost": "0.3",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "effective", "category"),
    [
        ("Usage", "0.5", "Usage"),
        ("DiscountedUsage", "0.25", "Usage"),
        ("SavingsPlanCoveredUsage", "0.3", "Usage"),
        ("SavingsPlanNegation", "0", "Adjustment"),
        ("SavingsPlanUpfrontFee", "0", "Purchase"),
        ("RIFee", "1.75", "Purchase"),  # 1.5 + 0.25 unused
        ("SavingsPlanRecurringFee", "2.5", "Purchase"),  # 10 - 7.5 unused
        ("Fee", "0.5", "Purchase"),
        ("Tax", "0.5", "Tax"),
        ("Credit", "0.5", "Credit"),
        ("EdpDiscount", "0.5", "Adjustment"),
    ],
)
def test_a_commitments_cost_is_in_the_usage_it_covers(kind: str, effective: str, category: str) -> None:
    found = cur_row(LEGACY | COMMITMENT | {"lineItem/LineItemType": kind})
    assert (found["EffectiveCost"], found["ChargeCategory"], found["BilledCost"]) == (effective, category, "0.5")


def cur_row(row: dict[str, str]) -> dict[str, object]:
    (draft,) = cur.LAYOUTS[0].mapper()(row)
    return draft.data


def test_an_upfront_fee_of_a_reservation_is_amortised() -> None:
    fee = LEGACY | {"lineItem/LineItemType": "Fee", "reservation/ReservationARN": "arn"}
    assert cur_row(fee)["EffectiveCost"] == "0"


def test_covered_usage_of_unknown_effective_cost_is_refused(tmp_path: Path) -> None:
    (item,) = read(one_row(tmp_path / "cur.csv", LEGACY | {"reservation/EffectiveCost": ""}))
    letter = taken(item)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.field) == (Reason.MISSING_FIELD, "data.EffectiveCost")


AZURE = {
    "date": "9/2/2023", "metercategory": "Storage", "consumedservice": "Microsoft.Storage", "cost": "0.04",
    "billingcurrencycode": "CAD", "quantity": "2", "billingperiodstartdate": "12/01/2023",
    "billingperiodenddate": "12/31/2023", "tags": '"a": "b","c": "d"',
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "billed", "effective", "status"),
    [
        ({}, "0.04", "0.04", None),
        ({"chargetype": "Usage", "pricingmodel": "Spot"}, "0.04", "0.04", None),
        ({"chargetype": "Purchase", "pricingmodel": "OnDemand"}, "0.04", "0.04", None),  # a marketplace offer
        ({"chargetype": "Purchase", "pricingmodel": "Reservation"}, "0.04", "0", None),
        ({"chargetype": "Refund", "pricingmodel": "Reservation"}, "0.04", "0", None),
        ({"chargetype": "Usage", "pricingmodel": "Reservation"}, "0", "0.04", "Used"),
        ({"chargetype": "Usage", "pricingmodel": "SavingsPlan"}, "0", "0.04", "Used"),
        ({"chargetype": "Usage", "reservationid": "r"}, "0", "0.04", "Used"),  # before there was a PricingModel
        ({"chargetype": "UnusedReservation", "pricingmodel": "Reservation"}, "0", "0.04", "Unused"),
        ({"chargetype": "UnusedSavingsPlan", "pricingmodel": "SavingsPlan"}, "0", "0.04", "Unused"),
        ({"chargetype": "Usage", "pricingmodel": "Reservation", "cost": "0"}, "0", None, "Used"),  # an actual export
        ({"chargetype": "Usage", "pricingmodel": "Reservation", "cost": "0", "quantity": "0"}, "0", "0", "Used"),
    ],
)
def test_azure_costs_by_kind_of_row(
    row: dict[str, str], billed: str, effective: str | None, status: str | None
) -> None:
    found = azure.read(AZURE | row)
    assert (found["BilledCost"], found.get("EffectiveCost")) == (billed, effective)
    assert found.get("CommitmentDiscountStatus") == status


def test_azure_days_tags_and_currencies() -> None:
    found = azure.read(AZURE)
    assert found["ChargePeriodStart"] == "2023-09-02T00:00:00+00:00"
    assert found["ChargePeriodEnd"] == "2023-09-03T00:00:00+00:00"
    assert found["BillingPeriodEnd"] == "2024-01-01T00:00:00+00:00"  # FOCUS ends are exclusive
    assert found["Tags"] == {"a": "b", "c": "d"}
    assert found["BillingCurrency"] == "CAD"
    for day in ("2021-02-02", "02/02/2021", "2/2/2021", "2021-02-02T00:00:00"):
        assert azure.read(AZURE | {"date": day})["ChargePeriodStart"] == "2021-02-02T00:00:00+00:00"
    assert azure.read(AZURE | {"date": "21/9/2023"})["ChargePeriodStart"] == "21/9/2023"  # refused, not guessed


def test_azure_without_a_currency_is_no_currency_not_a_guess() -> None:
    row = {name: value for name, value in AZURE.items() if name != "billingcurrencycode"}
    assert azure.read(row)["BillingCurrency"] == "XXX"


def test_azure_customer_agreement_names() -> None:
    row = {
        "Date": "09/21/2023", "meterCategory": "Storage", "consumedService": "S", "costInBillingCurrency": "1",
        "billingCurrency": "EUR", "paygCostInBillingCurrency": "2", "SubscriptionId": "s", "resourceLocation": "eu",
    }  # fmt: skip
    assert azure.tells(frozenset(row))
    found = azure.read({name.lower(): value for name, value in row.items()})
    assert (found["BilledCost"], found["ListCost"], found["BillingCurrency"]) == ("1", "2", "EUR")
    assert (found["SubAccountId"], found["RegionId"]) == ("s", "eu")


GCP = {
    "cost": "0.5", "currency": "USD", "usage_start_time": "2020-11-09 23:00:00+00:00", "service.description": "BQ",
    "usage_end_time": "2020-11-10 00:00:00+00:00", "cost_type": "regular", "invoice.month": "202012",
    "usage.amount": "3", "labels": "[{'key': 'team', 'value': 'a'}]",
    "project.labels": '[{"key": "env", "value": "p"}]',
}  # fmt: skip


def test_gcp_credits_are_line_items_of_their_own() -> None:
    credits_ = (
        "[{'name': 'SUD', 'amount': -0.1, 'full_name': None}, {'name': 'x', 'amount': -0.25, 'full_name': 'CUD'}]"
    )
    charge, *credits_of = [draft.data for draft in gcp.drafts(GCP | {"credits": credits_})]
    assert [one["ChargeCategory"] for one in (charge, *credits_of)] == ["Usage", "Credit", "Credit"]
    assert [one["ChargeDescription"] for one in credits_of] == ["SUD", "CUD"]
    amounts = [Decimal(str(one["BilledCost"])) for one in (charge, *credits_of)]
    assert amounts == [Decimal("0.5"), Decimal("-0.1"), Decimal("-0.25")]
    assert all(one["BilledCost"] == one["EffectiveCost"] for one in (charge, *credits_of))
    assert all(one["Tags"] == {"team": "a", "env": "p"} for one in (charge, *credits_of))
    assert ["ConsumedQuantity" in one for one in (charge, *credits_of)] == [True, False, False]  # used once
    assert charge["BillingPeriodEnd"] == "2021-01-01T00:00:00+00:00"


def test_gcp_credits_keep_every_digit_of_json_money() -> None:
    row = GCP | {"credits": '[{"name": "SUD", "amount": -0.123456789012345678901}]'}
    _, credit = gcp.drafts(row)
    assert credit.data["BilledCost"] == "-0.123456789012345678901"


@pytest.mark.parametrize(
    "credits_", ["[{'name': 'x'", "__import__('os').getpid()", "{'amount': 1}", "[{'name': 'x'}]", "[1]", "(" * 300]
)
def test_gcp_credits_that_cannot_be_read_refuse_the_row(credits_: str) -> None:
    with pytest.raises(Rejected):
        gcp.drafts(GCP | {"credits": credits_})


@pytest.mark.parametrize(
    ("kind", "category"),
    [("regular", "Usage"), ("tax", "Tax"), ("adjustment", "Adjustment"), ("rounding_error", "Adjustment")],
)
def test_gcp_cost_types(kind: str, category: str) -> None:
    (draft,) = gcp.drafts(GCP | {"cost_type": kind})
    assert draft.data["ChargeCategory"] == category


def test_oci_corrections_and_scientific_notation(tmp_path: Path) -> None:
    row = {
        "lineItem/intervalUsageStart": "2023-11-13T10:00Z", "lineItem/intervalUsageEnd": "2023-11-13T11:00:00Z",
        "product/service": "DATABASE", "cost/myCost": "-4.81298076439E-7", "cost/currencyCode": "USD",
        "lineItem/isCorrection": "true", "lineItem/backreferenceNo": "id-1", "tags/Oracle-Tags.CreatedBy": "me",
        "tags/empty": "",
    }  # fmt: skip
    (item,) = read(one_row(tmp_path / "oci.csv", row))
    event: Any = taken(item)
    assert event.data.BilledCost == event.data.EffectiveCost == Decimal("-0.000000481298076439")
    assert (event.data.ChargeClass, event.data.Tags) == ("Correction", {"Oracle-Tags.CreatedBy": "me"})
    assert "ChargeClass" not in oci.read({**row, "lineItem/isCorrection": "false"})


def test_missing_is_not_zero() -> None:
    assert not any(map(given, ("", "NULL", "null", "None", None)))
    assert all(map(given, ("0", 0, 0.0, "nil", [])))
