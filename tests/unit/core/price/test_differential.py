"""Our cached rates against genai-prices' own calculation: any model, date and counts, equal to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import PriceStatus
from tests.support.pricing import call, shipped, utc

WIDE = Context(prec=76, rounding=ROUND_HALF_EVEN)
MODELS = [(seller.id, model.id) for seller in get_snapshot().providers for model in seller.models]
DATES = [
    utc(2023, 1, 1),
    utc(2025, 2, 10, 20),
    utc(2025, 7, 1),
    utc(2026, 6, 1, 3),
    utc(2026, 10, 13),
    utc(2026, 11, 20, 9),
]


def expected(provider: str, model: str, at: datetime, usage: dict[str, Any], context: dict[str, str]) -> Decimal | None:
    """What genai-prices says, to 18 decimals; None where it refuses."""
    try:
        priced = calc_price(
            Usage(**usage), model, provider_id=provider, genai_request_timestamp=at, price_context=context or None
        )
    except ValueError:
        return None
    return priced.total_price.quantize(Decimal("1e-18"), context=WIDE)


@pytest.mark.parametrize("at", DATES, ids=str)
def test_every_model_on_some_dates(at: datetime) -> None:
    compared = 0
    for provider, model in MODELS:
        usage = {
            "input_tokens": 250_007, "output_tokens": 1_013, "cache_read_tokens": 101, "cache_write_tokens": 13,
            "cache_write_1h_tokens": 7, "output_reasoning_tokens": 3,
        }  # fmt: skip
        priced = shipped().price(
            call(
                at,
                provider=provider,
                model=model,
                input_tokens=250_007,
                output_tokens=1_013,
                cache_read_input_tokens=101,
                cache_creation_input_tokens=13,
                cache_creation_1h_input_tokens=7,
                reasoning_output_tokens=3,
            )
        )
        if priced.status is PriceStatus.PRICED:
            assert priced.list_cost == expected(provider, model, at, usage, {}), (provider, model)
            compared += 1
    assert compared > 1_900  # the others have no price for one of the counts


counts = st.integers(0, 10**7)


@settings(max_examples=400, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    at=st.datetimes(datetime(2023, 1, 1), datetime(2027, 2, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    fresh=counts, read=counts, written=counts, hourly=counts, out=counts, reasoning=counts,
    audio=st.integers(0, 1000), images=st.integers(0, 1000), searches=st.integers(0, 5),
    context=st.sampled_from([{}, {"service_tier": "flex"}, {"service_tier": "priority"}, {"processing": "batch"}]),
)  # fmt: skip
def test_random_usage_of_any_model_date_and_tier(
    model: tuple[str, str], at: datetime, fresh: int, read: int, written: int, hourly: int, out: int, reasoning: int,
    audio: int, images: int, searches: int, context: dict[str, str],
) -> None:  # fmt: skip
    provider, name = model
    extra = {"input_audio_tokens": min(audio, fresh), "output_image_tokens": min(images, out), "web_searches": searches}
    usage = {
        "input_tokens": fresh + read + written + hourly, "output_tokens": out + reasoning, "cache_read_tokens": read,
        "cache_write_tokens": written + hourly, "cache_write_1h_tokens": hourly, "output_reasoning_tokens": reasoning,
        **extra,
    }  # fmt: skip
    priced = shipped().price(
        call(
            at,
            provider=provider,
            model=name,
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            cache_read_input_tokens=read,
            cache_creation_input_tokens=written + hourly,
            cache_creation_1h_input_tokens=hourly,
            reasoning_output_tokens=reasoning,
            counts=extra,
            batch="processing" in context,
            service_tier=context.get("service_tier"),
        )
    )
    if priced.status is PriceStatus.PRICED and priced.source == "genai-prices":
        assert priced.list_cost == expected(
            provider, name, at, {k: v for k, v in usage.items() if v or k.endswith("put_tokens")}, context
        )
    elif priced.status is PriceStatus.UNPRICED:
        assert priced.list_cost is None
