"""LiteLLM's spend logs: CSV, JSON (an array, or pages of the API) or JSON lines. The tables read: field of the event,
then the columns, the first that is filled winning.

Source: LiteLLM_SpendLogs in https://github.com/BerriAI/litellm (schema.prisma)

`prompt_tokens` holds the cached ones. A call that was answered from LiteLLM's own cache cost nothing and counts no
tokens. Only what the tables name is taken: prompts, answers and bodies stay behind. Rows have ids of their own, so that
exports that overlap count a call once. What the log says that a call cost is its own estimate and not taken: the call
is priced here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from replay.readers.calls import Table, counts, needs_any, nested, provider_of, tags_of, texts
from replay.readers.layouts import Draft, Layout, has
from replay.readers.values import Row, first_given, moment, needed
from schemas.events import TOKEN_CALL

TEXTS: Table = (
    ("model", "model"),
    ("operation", "call_type"),
    ("status", "status"),
    ("account", "organization_id"),
)
COUNTS: Table = (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
TAGS: Table = (
    ("team", "metadata.user_api_key_team_alias", "team_id"),
    ("model_group", "model_group"),
    ("end_user", "end_user"),
    ("user", "user"),
)
PRINCIPAL = ("metadata.user_api_key_alias", "user", "api_key")
PROVIDERS = {"azure_ai": "azure", "fireworks_ai": "fireworks", "together_ai": "together"}
PARTS: Table = (  # of `additional_usage_values` or `usage_object` in the metadata
    ("cache_read_input_tokens", "cache_read_input_tokens", "prompt_tokens_details.cached_tokens"),
    ("cache_creation_input_tokens", "cache_creation_input_tokens", "prompt_tokens_details.cache_creation_tokens"),
    ("reasoning_output_tokens", "completion_tokens_details.reasoning_tokens"),
)


def read(row: Row) -> Iterable[Draft]:
    """A row of the spend logs. `prompt_tokens` holds the cached ones."""
    metadata = nested(row, "metadata")
    cells = {**row, **{f"metadata.{name}": value for name, value in metadata.items()}}
    data = texts(cells, TEXTS)
    found = counts(row, COUNTS)
    needs_any(found, ("input_tokens", "output_tokens"), "prompt_tokens")
    found |= {name: count for name, count in counts(_details(metadata), PARTS).items() if count}
    if str(row.get("cache_hit")).lower() == "true":
        found, data["status"] = {}, "cache_hit"
    provider = str(row.get("custom_llm_provider") or "")
    model = str(data.get("model", ""))
    if provider and model.startswith(f"{provider}/"):
        model = data["model"] = model.removeprefix(f"{provider}/")
    data["provider"] = PROVIDERS.get(provider, provider) or provider_of(model)
    principal = str(first_given(cells, PRINCIPAL) or "")
    if principal and not principal.startswith("sk-"):  # a key itself must not get in; LiteLLM hashes them
        data["principal"] = principal[:256]
    data |= found | {"tags": tags_of(texts(cells, TAGS) | _request_tags(row))}
    return (Draft(TOKEN_CALL, moment(str(needed(row, "startTime"))), data, str(needed(row, "request_id"))),)


def _details(metadata: Mapping[str, object]) -> Row:
    """The usage that the metadata holds, its details under dotted names."""
    usage = nested(metadata, "usage_object") | nested(metadata, "additional_usage_values")
    details = ((name, nested(usage, name)) for name in ("prompt_tokens_details", "completion_tokens_details"))
    return usage | {f"{name}.{part}": count for name, inside in details for part, count in inside.items()}


def _request_tags(row: Row) -> dict[str, object]:
    """Tags that callers set are words; those written `key:value` are taken as that."""
    value = row.get("request_tags")
    words = nested({"tags": f'{{"words": {value}}}'}, "tags").get("words") if isinstance(value, str) else value
    pairs = [word.partition(":") for word in words if isinstance(word, str)] if isinstance(words, list) else []
    return {key.strip(): value.strip() for key, colon, value in pairs if colon and key.strip() and value.strip()}


LAYOUT = Layout(
    "litellm", has("request_id", "call_type", "startTime", "prompt_tokens"), lambda: read, "/logs/litellm", named=True
)
