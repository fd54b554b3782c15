"""Helicone's requests: CSV, JSON (an array, or pages of the API) or JSON lines. The tables read: field of the event,
then the columns, the first that is filled winning.

Source: HeliconeRequest in https://github.com/Helicone/helicone

`prompt_tokens` is without the cached and the spoken ones. A request that was answered from Helicone's own cache cost
nothing and counts no tokens. Only what the tables name is taken: prompts, answers and bodies stay behind. Rows have ids
of their own, so that exports that overlap count a call once. What the log says that a call cost is its own estimate and
not taken: the call is priced here.
"""

from __future__ import annotations

from collections.abc import Iterable

from replay.readers.calls import Table, counts, needs_any, nested, provider_of, summed, tags_of, texts
from replay.readers.layouts import Draft, Layout, has
from replay.readers.values import Row, moment, needed, number
from schemas.events import TOKEN_CALL

TEXTS: Table = (
    ("model", "response_model", "model_override", "request_model", "model"),
    ("status", "response_status"),
    ("principal", "request_user_id", "helicone_user"),
)
COUNTS: Table = (
    ("input_tokens", "prompt_tokens"),
    ("output_tokens", "completion_tokens"),
    ("cache_read_input_tokens", "prompt_cache_read_tokens"),
    ("cache_creation_input_tokens", "prompt_cache_write_tokens"),
    ("reasoning_output_tokens", "reasoning_tokens"),
)
AUDIO: Table = (
    ("input_audio_tokens", "prompt_audio_tokens"),
    ("output_audio_tokens", "completion_audio_tokens"),
)
NOT_CACHED = "00000000-0000-0000-0000-000000000000"  # `cache_reference_id` of a request that went to the provider


def read(row: Row) -> Iterable[Draft]:
    """A request. `prompt_tokens` is without the cached and the spoken ones."""
    data = texts(row, TEXTS)
    found, audio = counts(row, COUNTS), counts(row, AUDIO)
    needs_any(found, ("input_tokens", "output_tokens"), "prompt_tokens")
    for side, kind in (("input_tokens", "input_audio_tokens"), ("output_tokens", "output_audio_tokens")):
        found[side] = found.get(side, 0) + audio.get(kind, 0)
    summed(found, "input_tokens", ("cache_read_input_tokens", "cache_creation_input_tokens"))
    if any(audio.values()):
        data["counts"] = {unit: count for unit, count in audio.items() if count}
    if str(row.get("cache_reference_id") or NOT_CACHED) != NOT_CACHED:
        found, data["status"] = {}, "cache_hit"
        data.pop("counts", None)
    data["provider"] = str(row.get("provider") or provider_of(str(data.get("model", "")))).lower()[:256]
    if "delay_ms" in row and (delay := number(row, "delay_ms")) >= 0:
        data["duration_ms"] = float(delay)
    properties = nested(row, "request_properties") or nested(row, "properties")
    data |= found | {"tags": tags_of(properties)}
    return (Draft(TOKEN_CALL, moment(str(needed(row, "request_created_at"))), data, str(needed(row, "request_id"))),)


LAYOUT = Layout(
    "helicone", has("request_id", "request_created_at", "prompt_tokens"), lambda: read, "/logs/helicone", named=True
)
