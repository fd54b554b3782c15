"""Public usage traces, as token calls and GPU-minutes. None names who paid, and some have no dates and no model: what a
trace does not tell is said here, is the same on every reading, and is never a price.

trace          provider, model       owner                time
azure-llm      azure, unknown        -                    TIMESTAMP, read as UTC
mooncake       moonshot_ai, unknown  -                    EPOCH + timestamp (ms)
servegen       alibaba, its `model`  principal=client_id  EPOCH + window_start_s: each window is one event
philly         onprem (owned)        cluster=cluster      timestamp, read as UTC: one event for each hour of a job

A model `unknown` is in no price book, so that its calls land unpriced, with the spend at risk estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson

from replay.readers.layouts import Draft, Layout, Mapper, has
from replay.readers.values import Row, moment, needed, number, seconds, whole
from schemas.events import GPU_USAGE, TOKEN_CALL
from schemas.records import Reason
from streams.core.usage.decode import Rejected

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday, so that a trace's days fall on days of the week
UNKNOWN = "unknown"
BLOCK_TOKENS = 512  # of Mooncake's prompt blocks
MOST_BLOCKS = 1_000_000  # blocks that are remembered as cached; the least recently used go first
LONGEST_JOB = Decimal(366 * 86_400)  # seconds: a garbled duration must not become millions of events
HOUR = 3600


def azure_llm(row: Row) -> Iterable[Draft]:
    """Azure's LLM inference trace: one call a row. https://github.com/Azure/AzurePublicDataset"""
    data: dict[str, object] = {
        "provider": "azure",
        "model": UNKNOWN,
        "input_tokens": whole(row, "ContextTokens"),
        "output_tokens": whole(row, "GeneratedTokens"),
    }
    return (Draft(TOKEN_CALL, _time(row, "TIMESTAMP"), data),)


def mooncake() -> Mapper:
    """Mooncake's trace: one call a line. https://github.com/kvcache-ai/Mooncake

    A prompt's leading blocks that earlier prompts had are cache reads, as if the cache lost nothing until it is full.
    """
    cached: dict[int, None] = {}  # the oldest first

    def calls(row: Row) -> Iterable[Draft]:
        tokens, written = whole(row, "input_length"), whole(row, "output_length")
        blocks = row.get("hash_ids")
        if not isinstance(blocks, list) or not all(isinstance(block, int) for block in blocks):
            raise Rejected(Reason.WRONG_TYPE, "hash_ids", "must be a list of whole numbers")
        known = next((place for place, block in enumerate(blocks) if block not in cached), len(blocks))
        for block in blocks:
            cached.pop(block, None)
            cached[block] = None
        while len(cached) > MOST_BLOCKS:
            del cached[next(iter(cached))]
        data: dict[str, object] = {
            "provider": "moonshot_ai",
            "model": UNKNOWN,
            "input_tokens": tokens,
            "output_tokens": written,
            "cache_read_input_tokens": min(known * BLOCK_TOKENS, tokens),
        }
        return (Draft(TOKEN_CALL, _after_epoch(row, "timestamp", milliseconds=1), data),)

    return calls


def servegen(row: Row) -> Iterable[Draft]:
    """ServeGen's windows: the calls of one client in ten minutes. https://github.com/alibaba/ServeGen"""
    requests = _rounded(number(row, "req_per_s") * number(row, "window_len_s"))
    output = _rounded(number(row, "mean_output_tokens") * requests)
    data: dict[str, object] = {
        "provider": "alibaba",
        "model": row.get("model"),
        "requests": requests,
        "input_tokens": _rounded(number(row, "mean_input_tokens") * requests),
        "output_tokens": output,
        "reasoning_output_tokens": _rounded(_reason_ratio(row) * output),
        "principal": row.get("client_id"),
    }
    return (Draft(TOKEN_CALL, _after_epoch(row, "window_start_s", milliseconds=1000), data),)


def philly(row: Row) -> Iterator[Draft]:
    """Microsoft's Philly jobs, an event for each clock hour that a job ran in, at the end of that hour or of the job.
    https://github.com/msr-fiddle/philly-traces"""
    began = seconds(_time(row, "timestamp"))
    if began is None:
        raise Rejected(Reason.BAD_TIME, "timestamp", "must be a time")
    duration, gpus = number(row, "duration"), whole(row, "num_gpus")
    if duration < 0 or gpus < 0:
        raise Rejected(Reason.NEGATIVE, "duration" if duration < 0 else "num_gpus", "must not be negative")
    if duration > LONGEST_JOB:
        raise Rejected(Reason.OUT_OF_RANGE, "duration", "must be at most 366 days")
    time, end = Decimal(began), Decimal(began) + duration
    while True:
        until = min((time // HOUR + 1) * HOUR, end)
        data: dict[str, object] = {
            "provider": "onprem",
            "accelerator": UNKNOWN,
            "capacity_type": "owned",
            "cluster": row.get("cluster"),
            "gpu_minutes": float((until - time) * gpus / 60),
        }
        yield Draft(GPU_USAGE, datetime.fromtimestamp(float(until), UTC).isoformat(), data)
        time = until
        if time >= end:
            return


def _time(row: Row, column: str) -> str:
    return moment(str(needed(row, column)))


def _after_epoch(row: Row, column: str, milliseconds: int) -> str:
    passed = number(row, column) * milliseconds
    try:
        return (EPOCH + timedelta(milliseconds=float(passed))).isoformat()
    except OverflowError:
        raise Rejected(Reason.TIME_OUT_OF_RANGE, column, "is too far from the trace's start") from None


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value())


def _reason_ratio(row: Row) -> Decimal:
    """The share of the output that was reasoning; none where the trace does not tell."""
    text = row.get("extra_means_json")
    try:
        found = orjson.loads(text) if isinstance(text, str) else {}
        ratio = Decimal(str(found["reason_ratio"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ArithmeticError):
        return Decimal(0)
    return ratio if ratio.is_finite() and 0 <= ratio <= 1 else Decimal(0)


LAYOUTS = (
    Layout("azure-llm", has("TIMESTAMP", "ContextTokens", "GeneratedTokens"), lambda: azure_llm, "/traces/azure-llm"),
    Layout("mooncake", has("timestamp", "input_length", "output_length", "hash_ids"), mooncake, "/traces/mooncake"),
    Layout("servegen", has("client_id", "window_start_s", "req_per_s"), lambda: servegen, "/traces/servegen"),
    Layout("philly", has("timestamp", "duration", "num_gpus", "gpu_time"), lambda: philly, "/traces/philly"),
)
