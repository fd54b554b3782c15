"""Providers' own usage bodies: the recorded ones, each shape by hand, and what is no usage at all."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from genai_prices import calc_price

from schemas.events import TokenCall
from schemas.records import PriceStatus
from streams.core.price.usage_bodies import UsageBodyError, extract, with_counts
from tests.support.pricing import NOON, SHARED, call, shipped

OWN_SHAPES = {("openai", "chat"), ("anthropic", "default"), ("google", "default"), ("aws", "default")}
RECORDED = SHARED / "data" / "pricing" / "genai_prices_usages.json"


@cache
def recorded() -> list[Any]:
    if not RECORDED.is_file():
        pytest.skip("the recorded usage bodies (../shared/data/pricing) are not here")
    bodies: list[Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return bodies


def test_all_recorded_bodies_price_as_genai_prices_does_where_it_knows_them() -> None:
    priced = 0
    for entry in recorded():
        for extracted in entry["extracted"]:
            for extractor in extracted["extractors"]:
                provider, flavor = extractor["provider_id"], extractor["api_flavor"]
                data = {"provider": provider, "usage": entry["body"], "api_flavor": flavor, "model": "unnamed"}
                if entry.get("model"):
                    data["model"] = entry["model"]
                fields = dict(with_counts(data))
                result = shipped().price(call(NOON, **{"input_tokens": 0, "output_tokens": 0, **fields}))
                if result.status is not PriceStatus.PRICED or result.source != "genai-prices":
                    continue  # one body is of Vertex' flex tier, which genai-prices has no row for at this model
                want = calc_price(
                    extract(provider, entry["body"], flavor)[1], data["model"], provider_id=provider,
                    genai_request_timestamp=NOON,
                )  # fmt: skip
                assert result.list_cost == want.total_price
                priced += 1
    assert len(recorded()) == 1_577
    assert priced > 3_500


def test_what_genai_prices_priced_when_the_bodies_were_recorded_is_priced_here() -> None:
    missing = set()
    for entry in recorded():
        for extracted in entry["extracted"]:
            for extractor in extracted["extractors"]:
                if "input_price" not in extractor or not entry.get("model"):
                    continue
                provider, flavor = extractor["provider_id"], extractor["api_flavor"]
                data = {"provider": provider, "model": entry["model"], "usage": entry["body"], "api_flavor": flavor}
                result = shipped().price(call(NOON, **{"input_tokens": 0, "output_tokens": 0, **with_counts(data)}))
                if result.status is not PriceStatus.PRICED:
                    missing.add((provider, entry["model"]))
    assert missing <= {("cerebras", "qwen-3-coder-480b")}  # listed without any price: not free


def test_the_flavor_is_told_from_the_shape() -> None:
    for entry in recorded():
        for extracted in entry["extracted"]:
            for extractor in extracted["extractors"]:
                provider = extractor["provider_id"]
                if (provider, extractor["api_flavor"]) not in OWN_SHAPES:
                    continue
                named = extract(provider, entry["body"], extractor["api_flavor"])[1]
                told = extract(provider, entry["body"])[1]
                assert {k: v for k, v in vars(told).items() if v} == {k: v for k, v in vars(named).items() if v}


@pytest.mark.parametrize(
    ("provider", "usage", "counts"),
    [
        (
            "openai",  # chat: cached inside the input, reasoning inside the output
            {
                "prompt_tokens": 1000, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 400},
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
            {
                "input_tokens": 1000, "cache_read_input_tokens": 400, "output_tokens": 300,
                "reasoning_output_tokens": 200,
            },
        ),
        (
            "openai",  # responses
            {"input_tokens": 1000, "output_tokens": 300, "input_tokens_details": {"cached_tokens": 400}},
            {"input_tokens": 1000, "cache_read_input_tokens": 400, "output_tokens": 300},
        ),
        (
            "anthropic",  # cached beside the input
            {
                "input_tokens": 600, "output_tokens": 300, "cache_read_input_tokens": 400,
                "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
            },
            {
                "input_tokens": 1050, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 50,
                "cache_creation_1h_input_tokens": 20, "output_tokens": 300,
            },
        ),
        (
            "google",  # thoughts beside the candidates
            {
                "promptTokenCount": 1000, "candidatesTokenCount": 100, "thoughtsTokenCount": 200,
                "cachedContentTokenCount": 400,
            },
            {
                "input_tokens": 1000, "cache_read_input_tokens": 400, "output_tokens": 300,
                "reasoning_output_tokens": 200,
            },
        ),
        (
            "aws",  # Bedrock Converse: cached beside the input
            {"inputTokens": 600, "outputTokens": 300, "cacheReadInputTokens": 400, "cacheWriteInputTokens": 0},
            {"input_tokens": 1000, "cache_read_input_tokens": 400, "output_tokens": 300},
        ),
    ],
    ids=["openai-chat", "openai-responses", "anthropic", "google", "bedrock"],
)  # fmt: skip
def test_inclusive_and_exclusive_counts_come_to_the_same(
    provider: str, usage: dict[str, Any], counts: dict[str, int]
) -> None:
    found = TokenCall.model_validate(with_counts({"provider": provider, "model": "m", "usage": usage}))
    for field, count in counts.items():
        assert getattr(found, field) == count, field


def test_a_whole_response_gives_its_model_and_tier_and_no_text() -> None:
    body = {
        "model": "gpt-4o", "service_tier": "priority", "choices": [{"message": {"content": "SECRET"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1},
    }  # fmt: skip
    fields = with_counts({"provider": "openai", "usage": body})
    assert fields == {
        "service_tier": "priority", "input_tokens": 10, "output_tokens": 1, "model": "gpt-4o", "provider": "openai",
    }  # fmt: skip
    assert (
        with_counts({"provider": "openai", "usage": body, "model": "mine", "service_tier": "flex"})["model"] == "mine"
    )


def test_a_tier_inside_the_usage_of_a_whole_response_is_found() -> None:
    body = {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"}}
    geo = {"input_tokens": 1, "output_tokens": 1, "inference_geo": "us"}
    assert with_counts({"provider": "anthropic", "usage": body})["service_tier"] == "batch"
    assert with_counts({"provider": "anthropic", "usage": geo, "model": "m"})["price_context"] == {
        "inference_geo": "us"
    }


def test_data_without_a_body_is_left_alone() -> None:
    data = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1}
    assert with_counts(data) is data


@pytest.mark.parametrize(
    "data",
    [
        {"provider": "openai", "usage": []},
        {"usage": {"prompt_tokens": 1}},
        {"provider": "acme", "usage": {"prompt_tokens": 1}},
        {"provider": "openai", "usage": {"SECRET": "text"}},
        {"provider": "openai", "usage": {"prompt_tokens": "SECRET", "completion_tokens": 1}},
        {"provider": "openai", "usage": {"prompt_tokens": 1, "completion_tokens": 1}, "api_flavor": "nonsense"},
        {"provider": "anthropic", "usage": {"input_tokens": -5, "output_tokens": 1}},
    ],
)
def test_what_is_no_usage_is_refused_by_name_without_its_content(data: dict[str, Any]) -> None:
    with pytest.raises(UsageBodyError) as caught:
        with_counts(data)
    assert str(caught.value)
    assert "SECRET" not in str(caught.value)
