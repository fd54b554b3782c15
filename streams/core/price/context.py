"""What a call's price depends on beside its model: batch, service tier, speed, ..."""

from __future__ import annotations

from schemas.events import TokenCall

# What providers report for the standard price. https://platform.openai.com/docs/api-reference/responses (service_tier),
# https://docs.anthropic.com/en/api/service-tiers, Google's usageMetadata.serviceTier and trafficType.
STANDARD = frozenset({"", "default", "auto", "standard", "standard_only", "on_demand", "not_available", "unspecified"})
SAME_TIER = {"on_demand_flex": "flex", "on_demand_priority": "priority", "provisioned_throughput": "provisioned"}
NO_EFFECT = {"inference_geo": frozenset({"", "global", "not_available"}), "speed": frozenset({"", "standard"})}

Context = tuple[tuple[str, str], ...]


def price_context(call: TokenCall) -> Context:
    """What makes the call's price other than standard, in genai-prices' names; empty for most calls."""
    tier = (call.service_tier or "").strip().lower()
    tier = SAME_TIER.get(tier, tier)
    context = {
        key: value
        for key, value in ((k.lower(), v.lower()) for k, v in call.price_context.items())
        if value not in NO_EFFECT.get(key, frozenset())
    }
    if call.batch or tier == "batch":
        context["processing"] = "batch"
    if tier not in STANDARD and tier != "batch":
        context["service_tier"] = tier
    return tuple(sorted(context.items()))
