"""Dead letters as ClickHouse has them: which there are, and which of them were redriven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.records import Position
from streams.io.clickhouse import ClickHouseStore

WHERE = """
WHERE (empty({reasons:Array(String)}) OR reason IN {reasons:Array(String)})
    AND (empty({topics:Array(String)}) OR topic IN {topics:Array(String)})
    AND (empty({sources:Array(String)}) OR event_source IN {sources:Array(String)})
    AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
    AND (redrives = 0 OR {redriven:Bool})
"""
FIELDS = """
SELECT dead_letter_id, topic, partition, offset, index, reason, field, problem, event_source, event_id, event_type,
       payload_bytes, payload_sha256, received_at, landed_at, redrives, redrive_id, redriven_at, redriven_by, why,
       to_topic, to_partition, to_offset
FROM dead_letter_states
"""
NEWEST = FIELDS + WHERE + "ORDER BY received_at DESC, topic, partition, offset, index LIMIT {limit:UInt64}"
IN_ORDER = FIELDS + WHERE + "ORDER BY topic, partition, offset, index LIMIT {limit:UInt64}"
COUNTS = f"""
SELECT reason, topic, count() AS letters, min(received_at) AS first_at, max(received_at) AS last_at
FROM dead_letter_states {WHERE}
GROUP BY reason, topic ORDER BY letters DESC, reason, topic
"""  # noqa: S608  of constants of this file
ONE = FIELDS + "WHERE dead_letter_id = {id:String}"
AT = FIELDS + (
    "WHERE topic = {topic:String} AND partition = {partition:Int32} AND offset = {offset:Int64} "
    "ORDER BY received_at, index"
)

Row = dict[str, Any]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)
ALL = 2**62


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters: all that these have in common; an empty one excludes nothing. `until` is exclusive."""

    reasons: Sequence[str] = ()
    topics: Sequence[str] = ()
    sources: Sequence[str] = ()
    since: datetime = BEGINNING
    until: datetime = END
    redriven: bool = False  # also those that were redriven

    def parameters(self) -> dict[str, Any]:
        return {
            "reasons": list(self.reasons),
            "topics": list(self.topics),
            "sources": list(self.sources),
            "since": self.since,
            "until": self.until,
            "redriven": self.redriven,
        }


class DeadLetterStore:
    """What the command asks of ClickHouse. Every call may raise StoreError."""

    def __init__(self, store: ClickHouseStore) -> None:
        self._store = store

    def newest(self, wanted: Wanted, limit: int) -> list[Row]:
        """The newest first."""
        return self._store.query(NEWEST, {**wanted.parameters(), "limit": limit})

    def in_order(self, wanted: Wanted, limit: int | None) -> list[Row]:
        """In the order of the records, as a consumer reads them."""
        return self._store.query(IN_ORDER, {**wanted.parameters(), "limit": ALL if limit is None else limit})

    def counts(self, wanted: Wanted) -> list[Row]:
        """How many, by reason and topic."""
        return self._store.query(COUNTS, wanted.parameters())

    def one(self, dead_letter_id: str) -> list[Row]:
        """By its id: one or none."""
        return self._store.query(ONE, {"id": dead_letter_id})

    def at(self, position: Position) -> list[Row]:
        """Those of one record."""
        return self._store.query(AT, position._asdict())

    def redriven(self, about: Mapping[str, Any], moves: Sequence[tuple[str, Position]], at: datetime) -> None:
        """Write down where the events of dead letters stand now. Repeated with the same `moves` it adds nothing."""
        columns = {
            "redrive_id": [about["redrive_id"]] * len(moves),
            "dead_letter_id": [letter for letter, _ in moves],
            "redriven_at": [at] * len(moves),
            "redriven_by": [about["redriven_by"]] * len(moves),
            "why": [about["why"]] * len(moves),
            "to_topic": [to.topic for _, to in moves],
            "to_partition": [to.partition for _, to in moves],
            "to_offset": [to.offset for _, to in moves],
        }
        self._store.insert("redrives", columns, f"{about['redrive_id']}:{moves[0][0]}:{moves[-1][0]}")
