"""The pipeline as Faust's documentation would have it: typed records, one event at a time, an agent and a topic a step.

It decodes, prices by genai-prices, tags by a look-up, scores with a River model per key, and inserts rows that it
collected by `take`. It does less than Spendstream: no duplicate is known, no crash survived, no window merged, no alert
composed. Run as `python -m tests.bench.idiomatic BOOTSTRAP PREFIX PATH EVENTS`; it ends when all events are inserted.
An array of events is taken apart by its first agent.
"""

from __future__ import annotations

import sys
from typing import Any

import faust

from tests.bench.same_work import Rows, Scorer, price


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
    scorer, table = Scorer(), Rows(f"{path}/clickhouse", events)

    @app.agent(usage)
    async def price_agent(stream: Any) -> None:
        async for value in stream:
            for event in value if isinstance(value, list) else [value]:
                await priced.send(value=Priced.from_data(price(event)))

    @app.agent(priced)
    async def detect_agent(stream: Any) -> None:
        async for one in stream:
            await scored.send(value=Scored(**one.asdict(), score=scorer.score(one.principal, one.usd)))

    @app.agent(scored)
    async def land_agent(stream: Any) -> None:
        async for batch in stream.take(1000, within=1.0):
            table.insert([one.asdict() for one in batch])

    return app


if __name__ == "__main__":
    bootstrap_servers, topic_prefix, folder, count = sys.argv[1:5]
    sys.argv = ["idiomatic", "worker", "--without-web", "-l", "warn"]
    pipeline(bootstrap_servers, topic_prefix, folder, int(count)).main()
