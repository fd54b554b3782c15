"""A provider's own usage body as the counts of a token call.

Providers count differently: OpenAI and Google put cached tokens inside the input, Anthropic and Bedrock beside it;
thinking is inside the output or beside it. genai-prices' extractors know each shape; here its counts get our names.
Nothing of a body but its counts, model and tier is kept, so no prompt text can pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import Provider, Usage, UsageExtractor

from streams.core.price.book import PROVIDERS
from streams.core.price.formula import UNITS
from streams.core.price.rate import FIELDS

_FIELD_OF_UNIT = {unit: field for field, unit in FIELDS.items()}
_IMPLIED = frozenset({"cache_write_5m_tokens"})  # what of the cache writes isn't kept for an hour
# Keys that tell the shape of a body, the most telling first.
_SHAPES: tuple[tuple[str, frozenset[str]], ...] = (
    ("input_tokens_details", frozenset({"responses"})),
    ("cache_creation_input_tokens", frozenset({"anthropic", "default"})),
    ("cache_read_input_tokens", frozenset({"anthropic", "default"})),
    ("prompt_tokens", frozenset({"chat", "default", "embeddings"})),
    ("promptTokenCount", frozenset({"default"})),
    ("inputTokens", frozenset({"default"})),
)


class UsageBodyError(ValueError):
    """The body can't be read as usage of that provider. The message names fields, never their content."""


def with_counts(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `data` of a token call, with the counts of its `usage` body in place of that body.

    `data` without `usage` is returned as it is. `usage` may be the provider's usage object or its whole response;
    `api_flavor` says which API of the provider it is from (`chat`, `responses`, `anthropic`, ...), where its shape
    doesn't tell. What `data` says itself (model, tier, counts) comes before the body. Raises UsageBodyError.
    """
    if "usage" not in data:
        return data
    body = data["usage"]
    provider = data.get("provider")
    if not isinstance(body, Mapping):
        raise UsageBodyError("usage: must be an object")
    if not isinstance(provider, str):
        raise UsageBodyError("provider: must be given beside usage")
    model, usage = extract(provider, body, data.get("api_flavor"))
    rest = {key: value for key, value in data.items() if key not in {"usage", "api_flavor"}}
    found: dict[str, Any] = {**_tier(body), **fields_of(usage)}
    if model is not None:
        found["model"] = model
    context = {**_context(body), **(rest.get("price_context") or {})}
    return {**found, **rest, **({"price_context": context} if context else {})}


def extract(provider: str, body: Mapping[str, Any], flavor: str | None = None) -> tuple[str | None, Usage]:
    """The model that a body names, if it does, and its usage in genai-prices' units. Raises UsageBodyError."""
    seller = find_provider_by_id(get_snapshot().providers, PROVIDERS.get(provider.lower(), provider))
    if seller is None or not seller.extractors:
        raise UsageBodyError(f"usage: no shape of usage is known for provider {provider[:64]}")
    problem = ""
    for extractor in _extractors(seller, body, flavor):
        for response in _placed(body, extractor.root):
            try:
                return extractor.extract(response)
            except ValueError as error:
                problem = problem or str(error)
    raise UsageBodyError(f"usage: {problem or 'no such api_flavor'}")


def fields_of(usage: Usage) -> dict[str, Any]:
    """Usage under the names of a token call; what it has no field for goes into `counts`."""
    fields: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    for unit in UNITS:
        value = vars(usage).get(unit)
        if value is None or unit in _IMPLIED:
            continue
        if unit in _FIELD_OF_UNIT:
            fields[_FIELD_OF_UNIT[unit]] = value
        elif value:
            counts[unit] = value
    if counts:
        fields["counts"] = counts
    return fields


def _extractors(seller: Provider, body: Mapping[str, Any], flavor: str | None) -> Iterator[UsageExtractor]:
    """The extractors to try: the named one, else those that the body's shape points to, else all of the seller."""
    extractors = seller.extractors or []
    if flavor is not None:
        yield from (extractor for extractor in extractors if extractor.api_flavor == flavor)
        return
    usage = _usage_of(body)
    flavors = next((flavors for key, flavors in _SHAPES if key in usage), None)
    fitting = [extractor for extractor in extractors if flavors is None or extractor.api_flavor in flavors]
    yield from fitting or extractors


def _placed(body: Mapping[str, Any], root: Any) -> Iterator[Mapping[str, Any]]:
    """The body where an extractor looks for it, whether it is the usage object or a response around it."""
    path: Sequence[Any] = [root] if isinstance(root, str) else root
    steps = [step for step in path if isinstance(step, str)]
    for depth in range(len(steps) + 1):
        response: Mapping[str, Any] = body
        for step in reversed(steps[:depth]):
            response = {step: response}
        yield response


def _usage_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in ("usage", "usageMetadata", "response"):
        inner = body.get(key)
        if isinstance(inner, Mapping):
            return _usage_of(inner)
    return body


def _tier(body: Mapping[str, Any]) -> dict[str, Any]:
    usage = _usage_of(body)
    for place in (usage, body):
        for key in ("service_tier", "serviceTier", "trafficType"):
            if isinstance(place.get(key), str):
                return {"service_tier": place[key]}
    return {}


def _context(body: Mapping[str, Any]) -> dict[str, str]:
    usage = _usage_of(body)
    return {key: usage[key] for key in ("inference_geo", "speed") if isinstance(usage.get(key), str) and usage[key]}
