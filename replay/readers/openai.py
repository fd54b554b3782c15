"""OpenAI's usage and costs: pages of the organization API as JSON, and the dashboard's exports as CSV, which name the
same things alike. The tables below read: field of the event, then the columns, the first that is filled winning.

Source: https://platform.openai.com/docs/api-reference/usage

A row of usage is a bucket of time of one project, key and model, as the export was grouped: one without its model can't
be priced and is refused. Input by kind (audio, image) is counted there without what was cached; ours is with it. The
same bucket is also in the costs: load usage, which is priced here, or costs, which are as billed, not both.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from replay.readers.calls import Table, counts, needs_any, summed, tags_of, texts
from replay.readers.layouts import Draft, Layout, has, line_item
from replay.readers.values import Row, first_given, number
from schemas.events import TOKEN_CALL
from schemas.records import Reason
from streams.core.usage.decode import Rejected

TEXTS: Table = (
    ("model", "model"),
    ("service_tier", "service_tier"),
    ("principal", "api_key_id", "user_id"),
    ("account", "project_id"),
)
COUNTS: Table = (
    ("requests", "num_model_requests"),
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cache_read_input_tokens", "input_cached_tokens"),
    ("cache_creation_input_tokens", "input_cache_write_tokens"),
)
OTHER_COUNTS: Table = (  # by genai-prices' unit
    ("input_audio_tokens", "input_audio_tokens"),
    ("cache_audio_read_tokens", "input_cached_audio_tokens"),
    ("output_audio_tokens", "output_audio_tokens"),
    ("input_image_tokens", "input_image_tokens"),
    ("cache_image_read_tokens", "input_cached_image_tokens"),
    ("output_image_tokens", "output_image_tokens"),
    ("input_characters", "characters"),
    ("audio_seconds", "seconds"),
)
TAGS: Table = (("project", "project_name"), ("user_id", "user_id"), ("api_key_id", "api_key_id"))
COSTS: Table = (
    ("BillingAccountId", "organization_id"),
    ("SubAccountId", "project_id"),
    ("SubAccountName", "project_name"),
    ("SkuMeter", "line_item"),
    ("ChargeDescription", "line_item"),
)
AMOUNT, CURRENCY = ("amount.value", "amount_value"), ("amount.currency", "amount_currency")
TIMES = frozenset({"start_time", "end_time", "start_time_iso", "end_time_iso", "object"})


def usage(row: Row) -> Iterable[Draft]:
    """A bucket of usage; nothing for a bucket that the dashboard lists empty."""
    if row.keys() <= TIMES:
        return
    data: dict[str, object] = {"provider": "openai", **texts(row, TEXTS)}
    found, others = counts(row, COUNTS), counts(row, OTHER_COUNTS)
    needs_any(
        {**found, **others}, ("input_tokens", "output_tokens", "input_characters", "audio_seconds"), "input_tokens"
    )
    for kind in ("audio", "image"):
        summed(others, f"input_{kind}_tokens", (f"cache_{kind}_read_tokens",))
    data |= found
    if others := {unit: count for unit, count in others.items() if count}:
        data["counts"] = others
    if str(row.get("batch")).lower() == "true":
        data["batch"] = True
    operation = str(row.get("object") or "").removeprefix("organization.usage.").removesuffix(".result")
    if operation not in {"", "bucket", "completions"}:
        data["operation"] = operation
    data["tags"] = tags_of(texts(row, TAGS))
    yield Draft(TOKEN_CALL, moment_of(row, "start_time"), data)


def costs(row: Row) -> Iterable[Draft]:
    """A cost of a bucket, in its currency; nothing for a bucket that the dashboard lists empty."""
    if row.keys() <= TIMES:
        return
    data: dict[str, object] = dict(texts(row, COSTS))
    if (amount := first_given(row, AMOUNT)) is not None:
        data |= {"BilledCost": amount, "EffectiveCost": amount}
    if (currency := first_given(row, CURRENCY)) is not None:
        data["BillingCurrency"] = str(currency).upper()
    if "quantity" in row:
        data["ConsumedQuantity"] = row["quantity"]
    data |= {
        "ChargePeriodStart": moment_of(row, "start_time"),
        "ChargePeriodEnd": moment_of(row, "end_time"),
        "ChargeCategory": "Usage",
        "ServiceName": "OpenAI API",
        "ServiceProviderName": "OpenAI",
        "Tags": tags_of(texts(row, TAGS)),
    }
    yield line_item(data)


def moment_of(row: Row, column: str) -> str:
    """A time in epoch seconds as RFC 3339. Raises Rejected, naming the column, on what is none."""
    try:
        return datetime.fromtimestamp(float(number(row, column)), UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        raise Rejected(Reason.TIME_OUT_OF_RANGE, column, "must be a time in epoch seconds") from None


LAYOUTS = (
    Layout("openai-usage", has("start_time", "end_time", "num_model_requests"), lambda: usage, "/usage/openai"),
    Layout(
        "openai-costs",
        lambda columns: {"start_time", "end_time"} <= columns and not columns.isdisjoint(AMOUNT),
        lambda: costs,
        "/bills/openai",
    ),
)
