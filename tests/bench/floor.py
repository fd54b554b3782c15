"""The floor: read records, decode, insert columns, commit. No price, owner, identity, window or detection.

Run as `python -m tests.bench.floor BOOTSTRAP TOPIC PATH PARTITIONS`; it ends when the topic is read to its end.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import clickhouse_connect
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.settings import Land

NAMES = ["id", "time", "model", "principal", "team", "input_tokens", "output_tokens"]
TABLE = """
CREATE TABLE IF NOT EXISTS calls
(
    id String, time String, model LowCardinality(String), principal LowCardinality(String),
    team LowCardinality(String), input_tokens UInt64, output_tokens UInt64
)
ENGINE = MergeTree ORDER BY (team, model)
"""
BATCH_ROWS = Land().batch_rows


def columns() -> list[list[Any]]:
    """One empty list for each column."""
    return [[] for _ in NAMES]


def take(into: list[list[Any]], event: dict[str, Any]) -> None:
    """Append an event to the columns."""
    data = event["data"]
    values = (
        event["id"], event["time"], data["model"], data["principal"], data["tags"]["team"],
        data["input_tokens"], data["output_tokens"],
    )  # fmt: skip
    for column, value in zip(into, values, strict=True):
        column.append(value)


async def main(bootstrap: str, topic: str, path: str, partitions: int) -> None:
    """Read `partitions` partitions of the topic into a table below `path`."""
    client = clickhouse_connect.get_client(interface="chdb", path=path)
    client.command(TABLE)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=f"floor-{topic}", enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
    )  # fmt: skip
    await consumer.start()
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    ends = await consumer.end_offsets(assigned)
    waiting = columns()
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
            for record in records:
                value = orjson.loads(record.value)
                for event in value if isinstance(value, list) else [value]:
                    take(waiting, event)
        if len(waiting[0]) >= BATCH_ROWS:
            await asyncio.to_thread(client.insert, "calls", waiting, NAMES, column_oriented=True)
            waiting = columns()
            await consumer.commit()
    if waiting[0]:
        await asyncio.to_thread(client.insert, "calls", waiting, NAMES, column_oriented=True)
        await consumer.commit()
    await consumer.stop()
    client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
