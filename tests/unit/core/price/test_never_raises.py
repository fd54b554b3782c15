"""No valid event makes pricing or tagging raise, whatever its names and counts are; and none is a silent zero."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import PriceStatus
from streams.core.price.formula import UNITS
from streams.core.tag import Tagger
from tests.support.pricing import call, gpu, shipped

names = st.text(min_size=1, max_size=40) | st.sampled_from(
    [
        "openai",
        "anthropic",
        "azure",
        "litellm",
        "gpt-4o",
        "openai/gpt-4o",
        "[",
        "*",
        "(",
        "gpt-4o-2024-11-20",
        "whisper-large-v3",
    ]
)
quantities = st.integers(0, 10**15) | st.floats(0, 10**15, allow_nan=False)
units = st.sampled_from(sorted(UNITS)) | st.text(min_size=1, max_size=20)


@settings(max_examples=300, deadline=None)
@given(
    provider=names,
    model=names,
    tier=st.none() | names,
    batch=st.booleans(),
    tokens=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
    counts=st.dictionaries(units, quantities, max_size=5),
    context=st.dictionaries(names, names, max_size=3),
    requests=st.integers(1, 10**12),
)
def test_any_token_call(
    provider: str, model: str, tier: str | None, batch: bool, tokens: tuple[int, int], counts: dict[str, Any],
    context: dict[str, str], requests: int,
) -> None:  # fmt: skip
    event = call(
        provider=provider, model=model, service_tier=tier, batch=batch, input_tokens=tokens[0],
        output_tokens=tokens[1], counts=counts, price_context=context, requests=requests, tags={model: provider},
    )  # fmt: skip
    priced = shipped().price(event)
    if priced.status is PriceStatus.UNPRICED:
        assert priced.effective_cost is None
        assert priced.estimated_cost is not None
        assert priced.estimated_cost > 0 or sum(tokens) == 0
        assert "estimated" in priced.source
    else:
        assert priced.effective_cost is not None
        assert priced.effective_cost >= 0
    assert sum(share.fraction for share in Tagger().tag(event)) == 1


@settings(max_examples=200, deadline=None)
@given(provider=names, accelerator=names, minutes=quantities, region=st.none() | names)
def test_any_gpu_usage(provider: str, accelerator: str, minutes: float, region: str | None) -> None:
    event = gpu(provider=provider, accelerator=accelerator, gpu_minutes=minutes, region=region)
    priced = shipped().price(event)
    cost = priced.estimated_cost if priced.status is PriceStatus.UNPRICED else priced.effective_cost
    assert cost is not None
    assert cost >= 0
