"""The words of alerts, and the steps that go with them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.watch import FindingKind
from streams.core.alert.remedies import remedies, remedies_for
from streams.core.alert.words import explanation, title, usd, who
from tests.support.findings import driver, finding


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"), ("0.00042", "$0.00042"), ("0.0999", "$0.10"), ("0.1", "$0.10"), ("1.005", "$1.00"),
        ("42.1", "$42.10"), ("99.999", "$100.00"), ("1234.5", "$1,234"), ("-3.2", "$3.20"), ("1E+3", "$1,000"),
    ],
)  # fmt: skip
def test_money_as_one_says_it(amount: str, text: str) -> None:
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("series", "text"),
    [
        ({}, "model use in total"),
        ({"model": "m", "principal": "k"}, "key k on m"),
        ({"team": "search", "model": "m"}, "team search on m"),
        ({"service": "s3", "account": "42"}, "account 42 on s3"),
        ({"team": ""}, "team (none)"),
    ],
)
def test_who(series: dict[str, str], text: str) -> None:
    assert who(series, "token_call") == text


def test_a_drop_says_what_is_missing() -> None:
    one = finding({"team": "search"}, -30.0, kind=FindingKind.DROP, expected_usd_per_hour=Decimal(31),
                  observed_usd_per_hour=Decimal(1), cause="volume")  # fmt: skip
    assert title(one) == "Team search is down to $1.00/h, expected $31.00/h"
    assert explanation(one) == (
        "Team search spends $1.00 an hour against $31.00 expected since 10:00 UTC on 12 Nov: "
        "$30.00 less than expected so far, because of less use."
    )


def test_a_driver_that_carries_little_is_not_named() -> None:
    some = finding({"team": "search"}, 10.0, drivers=[driver(0.3, principal="k1")])
    most = finding({"team": "search"}, 10.0, drivers=[driver(0.5, principal="k1")])
    assert "k1" not in explanation(some)
    assert explanation(most).endswith("50% of it by key k1.")


def test_remedies_fit_the_cause_and_name_what_is_known() -> None:
    key = {"principal": "k1"}
    assert "Revoke or cap key k1" in remedies(FindingKind.SPIKE, "volume", key, "token_call")[0]
    assert "prompt cache" in remedies(FindingKind.SPIKE, "unit_price", key, "token_call")[0]
    assert "Find the key" in remedies(FindingKind.SPIKE, "volume", {}, "token_call")[0]
    assert "Scale cluster c1 down" in remedies(FindingKind.IDLE, "idle", {"cluster": "c1"}, "gpu_usage")[0]
    assert "price row for m" in remedies(FindingKind.UNPRICED, "", {"model": "m"}, "token_call")[0]


def test_the_first_driver_fills_in_who_it_is_and_the_finding_s_own_steps_come_first() -> None:
    one = finding({"team": "search"}, 10.0, cause="volume", drivers=[driver(0.9, principal="k1")])
    assert "key k1" in remedies_for(one)[0]
    assert remedies_for(one.model_copy(update={"remedies": ["Call Ann."]})) == ["Call Ann."]
