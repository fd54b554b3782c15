"""Token calls by event time: dates, tiers, caches, batch, fees, and what is not known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.records import PriceStatus
from streams.core.price import Priced
from tests.support.pricing import call, shipped, utc

MILLION = 1_000_000


def price(**data: object) -> Priced:
    return shipped().price(call(**data))  # type: ignore[arg-type]


def whole(**data: object) -> Priced:
    """A call of a million tokens in and a million out."""
    return price(**{"input_tokens": MILLION, "output_tokens": MILLION, **data})


def test_the_event_s_date_decides_not_today() -> None:
    assert whole(model="o3", at=utc(2025, 3, 1)).list_cost == 50  # 10 + 40 USD
    assert whole(model="o3", at=utc(2025, 7, 1)).list_cost == 10  # 2 + 8 USD, since 10 June 2025
    assert whole(model="o3", at=utc(2025, 6, 9, 23, 59, 59)).list_cost == 50
    assert whole(model="o3", at=utc(2025, 6, 10)).list_cost == 10


def test_a_priced_call_says_what_it_was_priced_by() -> None:
    priced = price(input_tokens=1000, output_tokens=100)  # 1000 x 2.50 + 100 x 10 per million
    assert priced.status is PriceStatus.PRICED
    assert priced.list_cost == priced.contracted_cost == priced.effective_cost == priced.billed_cost
    assert priced.effective_cost == priced.effective_cost_usd == Decimal("0.0035")
    assert priced.estimated_cost is None
    assert (priced.source, priced.version) == ("genai-prices", "0.2.3")
    assert priced.unit_prices["input_mtok"] == Decimal("2.5")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"), ("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"),
        ("azure", "gpt-4o"), ("mistral", "mistral-large-latest"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [utc(2026, 6, 1), utc(2026, 10, 13), utc(2026, 10, 15), utc(2026, 11, 15)])
def test_a_batch_call_is_half_price_before_and_after_the_price_book_knows_it(
    provider: str, model: str, at: object
) -> None:
    standard = price(provider=provider, model=model, at=at).list_cost
    batch = price(provider=provider, model=model, at=at, batch=True)
    assert batch.status is PriceStatus.PRICED
    assert standard is not None
    assert batch.list_cost == standard / 2


def test_a_batch_reported_as_a_tier_is_a_batch() -> None:
    tier = price(provider="anthropic", model="claude-sonnet-4-5", service_tier="batch", at=utc(2026, 6, 1))
    flag = price(provider="anthropic", model="claude-sonnet-4-5", batch=True, at=utc(2026, 6, 1))
    assert tier.list_cost == flag.list_cost is not None


def test_flex_and_priority_before_the_price_book_knows_them() -> None:
    for at in (utc(2026, 6, 1), utc(2026, 10, 20)):
        assert whole(model="gpt-5", service_tier="flex", at=at).list_cost == Decimal("5.625")  # 0.625 + 5
        assert whole(model="gpt-5", service_tier="priority", at=at).list_cost == Decimal("22.5")  # 2.50 + 20
    # o3 in flex cost half of its price of that day: 5 + 20 USD until June 2025.
    assert whole(model="o3", service_tier="flex", at=utc(2025, 5, 1)).list_cost == 25
    assert whole(model="o3", service_tier="flex", at=utc(2025, 7, 1)).list_cost == 5


def test_a_tier_that_nobody_knows_is_unpriced_and_never_the_standard_price() -> None:
    priced = whole(service_tier="platinum")
    assert priced.status is PriceStatus.UNPRICED
    assert (priced.list_cost, priced.effective_cost, priced.effective_cost_usd) == (None, None, None)
    assert priced.estimated_cost == Decimal("12.5")
    assert "service_tier=platinum" in priced.source


@pytest.mark.parametrize("tier", ["default", "standard", "auto", "ON_DEMAND", "standard_only", ""])
def test_names_of_the_standard_tier_change_nothing(tier: str) -> None:
    assert price(service_tier=tier).list_cost == price().list_cost


def test_unknown_models_are_unpriced_with_an_estimate() -> None:
    sibling = whole(model="gpt-99-turbo")
    assert sibling.status is PriceStatus.UNPRICED
    assert sibling.list_cost is None
    assert sibling.estimated_cost is not None
    assert sibling.estimated_cost > 0
    assert "unknown model" in sibling.source
    stranger = whole(provider="acme", model="road-runner")
    assert stranger.estimated_cost == 30  # 5 + 25 USD, as its source says
    assert "5 USD in, 25 USD out" in stranger.source


def test_a_model_without_prices_is_unpriced_unless_it_is_free_by_name() -> None:
    assert price(provider="google", model="gemma-3").status is PriceStatus.UNPRICED
    free = price(provider="openrouter", model="agentica-org/deepcoder-14b-preview:free")
    assert free.status is PriceStatus.PRICED
    assert free.list_cost == 0


def test_a_count_without_a_price_makes_the_call_unpriced() -> None:
    embedding = price(model="text-embedding-3-small", input_tokens=1000, output_tokens=5)
    assert embedding.status is PriceStatus.UNPRICED
    assert price(model="text-embedding-3-small", input_tokens=1000, output_tokens=0).list_cost == Decimal("0.00002")
    assert price(counts={"moon_rocks": 1}).status is PriceStatus.UNPRICED


def test_caches_are_priced_once_and_at_their_own_rate() -> None:
    # 2,000 input: 1,000 fresh at 3, 600 read at 0.30, 300 written for 5 minutes at 3.75 and 100 for an hour at 6.
    priced = price(
        provider="anthropic", model="claude-sonnet-4-5", input_tokens=2000, output_tokens=0,
        cache_read_input_tokens=600, cache_creation_input_tokens=400, cache_creation_1h_input_tokens=100,
    )  # fmt: skip
    assert priced.list_cost == Decimal("0.003") + Decimal("0.00018") + Decimal("0.001125") + Decimal("0.0006")


def test_the_long_context_tier_is_a_cliff_on_the_input_of_one_call() -> None:
    def cost(tokens: int, requests: int = 1) -> Decimal | None:
        return price(
            provider="google", model="gemini-2.5-pro", input_tokens=tokens, output_tokens=0, requests=requests
        ).list_cost

    assert cost(200_000) == Decimal("0.25")
    assert cost(200_001) == Decimal("0.5000025")
    assert cost(400_000, requests=2) == Decimal("0.5")  # a bucket of two calls of 200,000: neither is long
    assert cost(400_002, requests=2) == Decimal("1.000005")


def test_the_hour_of_the_day_decides_where_it_is_priced_so() -> None:
    day = whole(provider="deepseek", model="deepseek-chat", at=utc(2025, 3, 1, 12)).list_cost
    night = whole(provider="deepseek", model="deepseek-chat", at=utc(2025, 3, 1, 20)).list_cost
    assert day is not None
    assert night is not None
    assert night < day


def test_audio_images_and_searches_are_billed_by_their_own_rates() -> None:
    audio = price(provider="google", model="gemini-2.5-flash", counts={"input_audio_tokens": 400}, output_tokens=0)
    assert audio.list_cost == Decimal("0.00018") + Decimal("0.0004")  # 600 text at 0.30, 400 audio at 1.00
    search = price(provider="anthropic", model="claude-sonnet-4-5", counts={"web_searches": 3})
    assert search.list_cost == Decimal("0.0045") + Decimal("0.03")  # 10 USD per thousand searches


def test_a_fee_per_request_is_paid_for_each_call_of_a_bucket() -> None:
    one = price(provider="perplexity", model="sonar", requests=1).list_cost
    two = price(provider="perplexity", model="sonar", requests=2).list_cost
    assert one is not None
    assert two is not None
    per_thousand = price(provider="perplexity", model="sonar").unit_prices["requests_kcount"]
    assert two - one == per_thousand / 1000 > 0


def test_costs_of_absurd_counts_are_exact() -> None:
    priced = price(input_tokens=10**15, output_tokens=10**15 - 1)
    assert priced.list_cost == Decimal("12499999999.99999")


def test_parts_that_are_more_than_their_whole_are_not_priced() -> None:
    priced = price(provider="google", model="gemini-2.5-flash", input_tokens=100, counts={"input_audio_tokens": 500})
    assert priced.status is PriceStatus.UNPRICED
    assert "more than their whole" in priced.source
    assert priced.estimated_cost == Decimal("0.00028")  # the plain tokens: 100 at 0.30, 100 at 2.50
