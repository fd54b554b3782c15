"""Anthropic's usage and cost reports: pages of the Admin API as JSON, the Console's exports as CSV. The tables read:
field of the event, then the columns, the API's first, the first that is filled winning.

Source: https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-messages-usage-report and .../get-cost-report

Usage counts uncached and cached input beside each other; ours is their sum. It does not say how many calls a bucket is
of: `requests` is the least number that its context window allows, so that a day's sum is not priced as one long prompt.
The API's amounts are cents, as text; the Console's are dollars. Load usage, which is priced here, or costs, which are
as billed, not both.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from replay.readers.calls import Table, counts, needs_any, summed, tags_of, texts
from replay.readers.layouts import Draft, Layout, line_item
from replay.readers.values import Row, first_given, moment, needed, next_day, number
from schemas.base import plain_decimal
from schemas.events import TOKEN_CALL

TEXTS: Table = (
    ("model", "model", "model_version"),
    ("principal", "api_key_id", "api_key"),
    ("account", "workspace_id", "workspace"),
)
COUNTS: Table = (
    ("input_tokens", "uncached_input_tokens", "usage_input_tokens_no_cache"),
    ("cache_read_input_tokens", "cache_read_input_tokens", "usage_input_tokens_cache_read"),
    ("cache_creation_input_tokens", "cache_creation.ephemeral_5m_input_tokens", "usage_input_tokens_cache_write_5m"),
    ("cache_creation_1h_input_tokens", "cache_creation.ephemeral_1h_input_tokens", "usage_input_tokens_cache_write_1h"),
    ("output_tokens", "output_tokens", "usage_output_tokens"),
)
WEB_SEARCHES = ("server_tool_use.web_search_requests", "web_search_count")
TIER = ("service_tier", "usage_type")
CONTEXT: Table = (("inference_geo", "inference_geo"), ("speed", "speed"))
COSTS: Table = (
    ("SubAccountId", "workspace_id", "workspace"),
    ("ChargeDescription", "description"),
)
METER = ("model", "cost_type", "usage_type", "token_type", "service_tier", "context_window")
TAGS: Table = (("api_key", "api_key", "api_key_id"), ("model", "model"), ("workspace", "workspace"))
LONG_CONTEXT = "200k-1M"
LARGEST_INPUT = {LONG_CONTEXT: 1_000_000}  # tokens of one call, by context window; 200,000 in the others


def usage(row: Row) -> Iterable[Draft]:
    """A bucket of usage of one model."""
    data: dict[str, object] = {"provider": "anthropic", **texts(row, TEXTS)}
    found = counts(row, COUNTS)
    needs_any(found, (field for field, *_ in COUNTS), "uncached_input_tokens")
    summed(found, "cache_creation_input_tokens", ("cache_creation_1h_input_tokens",))
    summed(found, "input_tokens", ("cache_read_input_tokens", "cache_creation_input_tokens"))
    largest = LARGEST_INPUT.get(str(row.get("context_window")), 200_000)
    data |= found | {"requests": max(1, -(-found["input_tokens"] // largest))}
    tier = str(first_given(row, TIER) or "").lower()
    if "batch" in tier:
        data["batch"] = True
    elif tier not in {"", "message"}:
        data["service_tier"] = tier
    searches = next((column for column in WEB_SEARCHES if column in row), None)
    if searches is not None and (count := counts(row, (("web_searches", searches),))["web_searches"]):
        data["counts"] = {"web_searches": count}
    if context := texts(row, CONTEXT):
        data["price_context"] = context
    data["tags"] = tags_of(texts(row, TAGS[2:]))
    return (Draft(TOKEN_CALL, moment(str(needed(row, _start(row)))), data),)


def costs(row: Row) -> Iterable[Draft]:
    """A cost of a day."""
    data: dict[str, object] = dict(texts(row, COSTS))
    if "amount" in row:
        amount: object = plain_decimal(number(row, "amount") / Decimal(100))
        data["BillingCurrency"] = str(row.get("currency", "USD"))
    else:
        amount = needed(row, "cost_usd")
        data["BillingCurrency"] = "USD"
    if "list_price_usd" in row:
        data["ListCost"] = row["list_price_usd"]
    start = str(needed(row, _start(row)))
    data |= {
        "BilledCost": amount,
        "EffectiveCost": amount,
        "ChargePeriodStart": moment(start),
        "ChargePeriodEnd": moment(str(row["ending_at"])) if "ending_at" in row else next_day(moment(start)),
        "ChargeCategory": "Usage",
        "ServiceName": "Claude API",
        "ServiceProviderName": "Anthropic",
        "SkuMeter": " / ".join(str(row[name]) for name in METER if name in row)[:256],
        "Tags": tags_of(texts(row, TAGS)),
    }
    return (line_item(data),)


def _start(row: Row) -> str:
    return "usage_date_utc" if "usage_date_utc" in row else "starting_at"


LAYOUTS = (
    Layout(
        "anthropic-usage",
        lambda columns: (
            {"starting_at", "uncached_input_tokens"} <= columns
            or {"usage_date_utc", "usage_input_tokens_no_cache"} <= columns
        ),
        lambda: usage,
        "/usage/anthropic",
    ),
    Layout(
        "anthropic-costs",
        lambda columns: {"starting_at", "amount"} <= columns or {"usage_date_utc", "cost_usd"} <= columns,
        lambda: costs,
        "/bills/anthropic",
    ),
)
