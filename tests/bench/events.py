"""The events that every pipeline of the benchmark works on: model calls of a company, the same on each run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import orjson

MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4.1-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
)
FEATURES = ("chat", "agents", "search")
BEGIN = datetime(2026, 11, 2, 9, tzinfo=UTC).timestamp()
EVENTS_PER_SECOND = 500.0  # of event time: what decides how many windows there are


def token_calls(count: int, keys: int, first: int = 0) -> Iterator[bytes]:
    """`count` model calls from number `first` on, by `keys` API keys of a twelfth as many teams, in order of time.

    They are CloudEvents in JSON.
    """
    random = Random(first + 1)
    teams = max(1, keys // 12)
    for number in range(first, first + count):
        provider, model = random.choice(MODELS)
        key = random.randrange(keys)
        tokens = random.randint(100, 9000)
        time = datetime.fromtimestamp(BEGIN + number / EVENTS_PER_SECOND, UTC)
        yield orjson.dumps(
            {
                "specversion": "1.0",
                "id": f"call-{number}",
                "source": "/gateways/bench",
                "type": "spendstream.token_call.v1",
                "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "data": {
                    "provider": provider,
                    "model": model,
                    "input_tokens": tokens,
                    "output_tokens": random.randint(10, 900),
                    "cache_read_input_tokens": tokens // 3,
                    "duration_ms": 812.5,
                    "status": "ok",
                    "principal": f"key-{key}",
                    "tags": {
                        "team": f"team-{key % teams}",
                        "feature": FEATURES[key % len(FEATURES)],
                        "environment": "prod",
                    },
                },
            }
        )


def records(count: int, keys: int, batch: int, first: int = 0) -> Iterator[bytes]:
    """The same events as Kafka records: one event each, or arrays of `batch`."""
    waiting: list[bytes] = []
    for event in token_calls(count, keys, first):
        if batch == 1:
            yield event
            continue
        waiting.append(event)
        if len(waiting) == batch:
            yield b"[" + b",".join(waiting) + b"]"
            waiting = []
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"
