"""The same work with Quix Streams, as its documentation would have it: a data frame of steps, and a sink of batches.

It runs in an environment of its own, since quixstreams and our pins ask for different releases of pydantic. Events are
brought to their key by `group_by`, through a topic of the broker, so that one model sees all events of a key. Run as
`python -m tests.bench.quix BOOTSTRAP PREFIX PATH EVENTS`; it ends when all events are inserted.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from tests.bench.same_work import Rows, Scorer, price


class ClickHouseSink(BatchingSink):  # type: ignore[misc]
    """Inserts what came between two commits, a partition at a time."""

    def __init__(self, table: Rows) -> None:
        super().__init__()
        self._table = table

    def write(self, batch: SinkBatch) -> None:
        """Called before each commit."""
        self._table.insert([item.value for item in batch])


def pipeline(bootstrap: str, prefix: str, path: str, events: int) -> Application:
    """The application. It reads `{prefix}usage.token-calls`."""
    app = Application(
        bootstrap,
        consumer_group=f"{prefix}quix",
        auto_offset_reset="earliest",
        commit_interval=1.0,  # as long as the idiomatic pipeline waits for a batch
        state_dir=f"{path}/state",
        loglevel="WARNING",
    )
    scorer, table = Scorer(), Rows(f"{path}/clickhouse", events)

    def scored(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "score": scorer.score(row["principal"], row["usd"])}

    usage = app.topic(f"{prefix}usage.token-calls", value_deserializer="json")
    frame = app.dataframe(usage)
    frame = frame.apply(lambda value: value if isinstance(value, list) else [value], expand=True)
    frame = frame.apply(price).group_by("principal").apply(scored)
    frame.sink(ClickHouseSink(table))
    return app


if __name__ == "__main__":
    bootstrap_servers, topic_prefix, folder, count = sys.argv[1:5]
    pipeline(bootstrap_servers, topic_prefix, folder, int(count)).run()
