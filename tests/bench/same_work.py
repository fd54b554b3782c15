"""The work that the pipelines beside ours do, whatever they are made with: what is a price, a score and a row."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from datetime import datetime
from typing import Any

import clickhouse_connect
from genai_prices import Usage, calc_price
from river import anomaly

TABLE = """
CREATE TABLE IF NOT EXISTS charges
(id String, time DateTime64(3), model String, principal String, team String, usd Decimal(38, 12), score Float64)
ENGINE = MergeTree ORDER BY (team, model)
"""
NAMES = ["id", "time", "model", "principal", "team", "usd", "score"]


def price(event: dict[str, Any]) -> dict[str, str]:
    """Price one model call and tag it."""
    data = event["data"]
    usage = Usage(
        input_tokens=data["input_tokens"],
        output_tokens=data["output_tokens"],
        cache_read_tokens=data["cache_read_input_tokens"],
    )
    at = datetime.fromisoformat(event["time"])
    total = calc_price(usage, data["model"], provider_id=data["provider"], genai_request_timestamp=at).total_price
    return {
        "id": event["id"],
        "time": event["time"],
        "model": data["model"],
        "principal": data["principal"],
        "team": data["tags"]["team"],
        "usd": str(total),
    }


class Scorer:
    """A River model per key: scores, then learns."""

    def __init__(self) -> None:
        self._models: dict[str, anomaly.HalfSpaceTrees] = defaultdict(lambda: anomaly.HalfSpaceTrees(seed=1))

    def score(self, principal: str, usd: str) -> float:
        """How unusual the cost is for its key, 0 to 1."""
        model, features = self._models[principal], {"usd": min(1.0, float(usd))}
        score: float = model.score_one(features)  # type: ignore[no-untyped-call]
        model.learn_one(features)  # type: ignore[no-untyped-call]
        return score


class Rows:
    """Inserts rows, and ends the process when `events` are in: a shutdown of seconds belongs in no measure."""

    def __init__(self, path: str, events: int) -> None:
        self._client = clickhouse_connect.get_client(interface="chdb", path=path)
        self._client.command(TABLE)
        self._events = events
        self._landed = 0

    def insert(self, rows: list[dict[str, Any]]) -> None:
        """A batch of rows by name."""
        values = [
            [datetime.fromisoformat(row[name]) if name == "time" else row[name] for name in NAMES] for row in rows
        ]
        self._client.insert("charges", values, NAMES)
        self._landed += len(rows)
        sys.stdout.write(json.dumps({"landed": self._landed}) + "\n")
        sys.stdout.flush()
        if self._landed >= self._events:
            os._exit(0)
