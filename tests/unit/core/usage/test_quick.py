"""The quick way says of an event exactly what the full validation says, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import maker
from schemas.events import LINE_ITEM, LineItem, UsageEvent
from schemas.records import Charge
from streams.core.usage.quick import quick_event

GOOD = {
    "BilledCost": "1.10", "EffectiveCost": "-0.000000000000000001", "ListCost": "12345678901234567.5",
    "BillingCurrency": "USD", "ChargeCategory": "Usage", "ChargePeriodStart": "2026-11-02T00:00:00+00:00",
    "ChargePeriodEnd": "2026-11-02T01:00:00Z", "ServiceName": "S3", "ProviderName": "AWS", "ResourceId": "r",
    "ConsumedQuantity": "1", "SkuId": "", "Tags": {"team": "a", "env": None}, "x_own": "left out",
}  # fmt: skip
odd = (
    st.none()
    | st.text(max_size=8)
    | st.text(alphabet="0123456789.-+eE_ ", max_size=22)
    | st.decimals(allow_nan=True)
    | st.integers()
    | st.booleans()
    | st.datetimes().map(str)
    | st.sampled_from(
        ["x" * 257, "x" * 2049, "usd", "Correction", "2026-11-02", "2026-11-02T00:00:00", "٣", "1_0", "é"]
    )
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.none() | st.integers(), max_size=2)
)


def event(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "i",
        "source": "s",
        "type": LINE_ITEM,
        "time": "2026-11-02T00:00:00Z",
        "data": data,
    }


def test_an_ordinary_row_goes_the_quick_way() -> None:
    found = quick_event(event(GOOD))
    assert found is not None
    assert found.data == LineItem.model_validate(GOOD)
    assert found.data.model_dump_json() == LineItem.model_validate(GOOD).model_dump_json()


@given(st.dictionaries(st.sampled_from([*LineItem.model_fields, "ProviderName", "PublisherName"]), odd, max_size=3))
def test_it_agrees_with_the_full_validation(changes: dict[str, Any]) -> None:
    item = event(GOOD | changes)
    found = quick_event(item)
    if found is not None:
        assert found == UsageEvent.model_validate({**item, "data": LineItem.model_validate(item["data"])})


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["specversion", "id", "source", "type", "time"], odd)))
def test_it_agrees_on_the_envelope(changes: dict[str, Any]) -> None:
    found = quick_event(event(GOOD) | changes)
    if found is not None:
        assert found.source
        assert len(found.id) <= 512
        assert found.time.tzinfo is not None


@pytest.mark.parametrize("missing", ["BilledCost", "ServiceName", "ChargePeriodEnd", "BillingCurrency"])
def test_what_is_missing_is_for_the_full_validation(missing: str) -> None:
    assert quick_event(event({name: value for name, value in GOOD.items() if name != missing})) is None
    assert quick_event(event(GOOD | {"ChargePeriodEnd": "2026-11-01T00:00:00Z"})) is None


def test_a_made_record_is_a_constructed_one() -> None:
    values: dict[str, Any] = {name: name for name in ("source", "id", "provider")} | {
        "tags": {"a": "b"},
        "price_status": "billed",
    }
    made, constructed = maker(Charge)(values), Charge.model_construct(**values)
    required = {name for name, field in Charge.model_fields.items() if field.is_required()}
    assert {name: value for name, value in made.__dict__.items() if name not in required - values.keys()} == vars(
        constructed
    )
    assert made.counts is not maker(Charge)(values).counts
