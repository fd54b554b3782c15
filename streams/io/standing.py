"""Charges as they stand in ClickHouse, an event at a time, in pieces that fit in memory; and the corrections staged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

from schemas.records import Charge, Position, PriceStatus
from streams.core.corrections.reprice import FIELDS, Standing
from streams.core.landing.land import LINEAGE

HOUR = 3600
COUNTS = """
SELECT toUnixTimestamp(toStartOfHour(time)) AS hour, count() AS rows
FROM charges
WHERE time >= toDateTime64({start:Int64}, 6, 'UTC') AND time < toDateTime64({end:Int64}, 6, 'UTC')
GROUP BY hour
ORDER BY hour
"""
# An event's rows all have its time, so a piece of time holds them all. See the view charges_current.
STANDING = """
WITH piece AS
(
    SELECT {columns}, sign, revision
    FROM charges
    WHERE time >= toDateTime64({start:Int64}, 6, 'UTC') AND time < toDateTime64({end:Int64}, 6, 'UTC')
        AND cityHash64(source, id) % {buckets:UInt32} = {bucket:UInt32}
)
SELECT * EXCEPT sign
FROM piece
WHERE sign = 1
    AND (time, source, id, revision + 1) NOT IN (SELECT time, source, id, revision FROM piece WHERE sign = -1)
ORDER BY time, source, id, part
""".replace("{columns}", ", ".join((*FIELDS, *LINEAGE)))
STANDING_BILL = STANDING.replace(
    "AND cityHash64(source, id) % {buckets:UInt32} = {bucket:UInt32}",
    "AND source = {source:String} AND account IN {accounts:Array(String)}",
)
STAGED = "SELECT value FROM reprice_staged WHERE batch = {batch:UInt64} ORDER BY number"


class Queries(Protocol):
    """What reading needs of a store."""

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of event time, [start, end) in epoch seconds, or one of `buckets` by identity where it is too large."""

    start: int
    end: int
    rows: int
    bucket: int = 0
    buckets: int = 1


def pieces(store: Queries, start: datetime, end: datetime, rows: int) -> list[Piece]:
    """The period [start, end) in pieces of about `rows` rows, in order. Both ends are whole seconds."""
    first, last = int(start.timestamp()), int(end.timestamp())
    found: list[Piece] = []
    for count in store.query(COUNTS, {"start": first, "end": last}):
        hour, size = int(count["hour"]), int(count["rows"])
        stretch = (max(hour, first), min(hour + HOUR, last))
        if found and found[-1].buckets == 1 and found[-1].rows + size <= rows:
            found[-1] = Piece(found[-1].start, stretch[1], found[-1].rows + size)
            continue
        buckets = -(-size // rows)
        found += [Piece(*stretch, size // buckets, bucket, buckets) for bucket in range(buckets)]
    return found


def standing(store: Queries, piece: Piece) -> Iterator[Standing]:
    """The events of a piece as they are charged now."""
    found = store.query(
        STANDING, {"start": piece.start, "end": piece.end, "bucket": piece.bucket, "buckets": piece.buckets}
    )
    for _, rows in groupby(found, key=lambda row: (row["time"], row["source"], row["id"])):
        yield _standing(list(rows))


@dataclass(frozen=True, slots=True)
class Bill:
    """What landed of a bill: of one source (a format of bills), these accounts, within [start, end) epoch seconds."""

    source: str
    accounts: Sequence[str]
    start: int
    end: int


def bill_standing(store: Queries, bill: Bill) -> Iterator[Standing]:
    """The events of a bill as they are charged now, corrections among them."""
    parameters = {"start": bill.start, "end": bill.end, "source": bill.source, "accounts": list(bill.accounts)}
    found = store.query(STANDING_BILL, parameters)
    for _, rows in groupby(found, key=lambda row: (row["time"], row["source"], row["id"])):
        yield _standing(list(rows))


def _standing(rows: Sequence[dict[str, Any]]) -> Standing:
    first = rows[0]
    revision = first["revision"]
    topic, partition, offset = (first[name] for name in LINEAGE)
    charges = tuple(
        Charge.model_construct(**{
            **{name: row[name] for name in FIELDS},
            "price_status": PriceStatus(row["price_status"]),
        })
        for row in rows
    )  # fmt: skip
    return Standing(charges, revision, Position(topic, partition, offset))


def staged(store: Queries, batch: int) -> list[bytes]:
    """The corrections of a batch, in order."""
    return [row["value"].encode() for row in store.query(STAGED, {"batch": batch})]
