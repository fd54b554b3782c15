"""Langfuse's observations: CSV, JSON (an array, or pages of the API) or JSON lines. The tables read: field of the
event, then the columns, the first that is filled winning.

Source: the batch export of observations of https://github.com/langfuse/langfuse

The provider is what LangChain left in the metadata, else the one that genai-prices knows the model's name of. Only what
the tables name is taken: prompts, answers and bodies stay behind. Rows have ids of their own, so that exports that
overlap count a call once. What the log says that a call cost is its own estimate and not taken: the call is priced
here.
"""

from __future__ import annotations

from collections.abc import Iterable

from replay.readers.calls import Table, needs_any, nested, provider_of, tags_of, texts
from replay.readers.layouts import Draft, Layout, has
from replay.readers.values import Row, first_given, moment, needed, whole
from schemas.events import TOKEN_CALL

TAGS: Table = (("trace_name", "traceName"), ("environment", "environment"), ("name", "name"))
PARTS = {  # of `usageDetails`; each is counted beside `input` and `output`, not within
    "cache_read_input_tokens": "cache_read_input_tokens",
    "input_cache_read": "cache_read_input_tokens",
    "input_cached_tokens": "cache_read_input_tokens",
    "input_cache_read_tokens": "cache_read_input_tokens",
    "cache_creation_input_tokens": "cache_creation_input_tokens",
    "input_cache_creation": "cache_creation_input_tokens",
    "output_reasoning_tokens": "reasoning_output_tokens",
    "output_reasoning": "reasoning_output_tokens",
}
SPANS = frozenset({"SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "GUARDRAIL"})


def read(row: Row) -> Iterable[Draft]:
    """A generation. What is neither one nor has usage (a span, an event) is no spend and is passed over."""
    usage = nested(row, "usageDetails") or nested(row, "usage")
    if not usage and str(row.get("type")) in SPANS:
        return
    needs_any(usage, ("input", "output", "total", *PARTS), "usageDetails")
    model = str(needed(row, "model"))
    data: dict[str, object] = {"model": model, **_counts(usage)}
    metadata = nested(row, "metadata")
    data["provider"] = str(metadata.get("ls_provider") or provider_of(model))[:256]
    if (user := first_given(row, ("userId", "user_id"))) is not None:
        data["principal"] = str(user)[:256]
    if str(row.get("type")) == "EMBEDDING":
        data["operation"] = "embeddings"
    data["tags"] = tags_of(texts(row, TAGS))
    yield Draft(TOKEN_CALL, moment(str(needed(row, "startTime"))), data, str(needed(row, "id")))


def _counts(usage: Row) -> dict[str, int]:
    """`usageDetails` counts each kind apart, and whatever names `input` or `output` belongs to it."""
    found = {"input_tokens": 0, "output_tokens": 0}
    for name in usage:
        side = "output_tokens" if "output" in name else "input_tokens" if "input" in name else ""
        if not side or name in {"inputCost", "outputCost"}:
            continue
        count = whole(usage, name)
        found[side] += count
        if (part := PARTS.get(name)) and count:
            found[part] = found.get(part, 0) + count
    if "input" not in usage and "output" not in usage and not any(found.values()):
        found["input_tokens"] = whole(usage, "total")
    return found


LAYOUT = Layout("langfuse", has("id", "traceId", "startTime", "type"), lambda: read, "/logs/langfuse", named=True)
