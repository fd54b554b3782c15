"""The pipeline as Faust's documentation would have it: typed records, one event at a time, an agent and a topic a step.

It decodes, prices by genai-prices, tags by a look-up, scores with a River model per key, and inserts rows that it
collected by `take`. It does less than Spendstream: no duplicate is known, no crash survived, no window merged, no alert
composed. Run as `python -m tests.bench.idiomatic BOOTSTRAP PREFIX PATH EVENTS`; it ends when all events are inserted.
An array of events is taken apart by its first agent.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from datetime import datetime
from typing import Any

import clickhouse_connect
import faust
from genai_prices import Usage, calc_price
from river import anomaly

TABLE = """
CREATE TABLE IF NOT EXISTS charges
(id String, time DateTime64(3), model String, principal String, team String, usd Decimal(38, 12), score Float64)
ENGINE = MergeTree ORDER BY (team, model)
"""
NAMES = ["id", "time", "model", "principal", "team", "usd", "score"]


class Priced(faust.Record, serializer="json"):
    """An event with its price."""

    id: str
    time: str
    model: str
    principal: str
    team: str
    usd: str


class Scored(Priced, serializer="json"):
    """And how unusual it is for its key, 0 to 1."""

    score: float


def price(event: dict[str, Any]) -> Priced:
    """Price one model call."""
    data = event["data"]
    usage = Usage(
        input_tokens=data["input_tokens"],
        output_tokens=data["output_tokens"],
        cache_read_tokens=data["cache_read_input_tokens"],
    )
    at = datetime.fromisoformat(event["time"])
    total = calc_price(usage, data["model"], provider_id=data["provider"], genai_request_timestamp=at).total_price
    return Priced(event["id"], event["time"], data["model"], data["principal"], data["tags"]["team"], str(total))


def pipeline(bootstrap: str, prefix: str, path: str, events: int) -> faust.App:
    """The application. It reads `{prefix}usage.token-calls`."""
    app = faust.App(
        f"{prefix}idiomatic",
        broker=f"kafka://{bootstrap}",
        web_enabled=False,
        topic_partitions=4,
        broker_rebalance_timeout=5,
        broker_session_timeout=10,
        datadir=f"{path}/faust",
    )
    usage = app.topic(f"{prefix}usage.token-calls", value_serializer="json")
    priced = app.topic(f"{prefix}idiomatic.priced", value_type=Priced, partitions=4)
    scored = app.topic(f"{prefix}idiomatic.scored", value_type=Scored, partitions=4)
    models: dict[str, anomaly.HalfSpaceTrees] = defaultdict(lambda: anomaly.HalfSpaceTrees(seed=1))
    client = clickhouse_connect.get_client(interface="chdb", path=f"{path}/clickhouse")
    client.command(TABLE)
    landed = 0

    @app.agent(usage)
    async def price_agent(stream: Any) -> None:
        async for value in stream:
            for event in value if isinstance(value, list) else [value]:
                await priced.send(value=price(event))

    @app.agent(priced)
    async def detect_agent(stream: Any) -> None:
        async for one in stream:
            model, features = models[one.principal], {"usd": min(1.0, float(one.usd))}
            score = model.score_one(features)  # type: ignore[no-untyped-call]
            model.learn_one(features)  # type: ignore[no-untyped-call]
            await scored.send(value=Scored(**one.asdict(), score=score))

    @app.agent(scored)
    async def land_agent(stream: Any) -> None:
        nonlocal landed
        async for batch in stream.take(1000, within=1.0):
            rows = [
                [one.id, datetime.fromisoformat(one.time), one.model, one.principal, one.team, one.usd, one.score]
                for one in batch
            ]
            client.insert("charges", rows, NAMES)
            landed += len(rows)
            sys.stdout.write(json.dumps({"landed": landed}) + "\n")
            sys.stdout.flush()
            if landed >= events:
                os._exit(0)  # Faust's own shutdown takes seconds, which nobody wants in the measure

    return app


if __name__ == "__main__":
    bootstrap_servers, topic_prefix, folder, count = sys.argv[1:5]
    sys.argv = ["idiomatic", "worker", "--without-web", "-l", "warn"]
    pipeline(bootstrap_servers, topic_prefix, folder, int(count)).main()
