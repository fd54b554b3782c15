"""How the records of a topic's partitions become batches that are landed once, whatever is repeated.

A batch has what waits of all partitions that a worker holds: an insert costs much however little is in it. It is
written down before it is inserted (Intent). After a crash the same records are landed again under the same intent
first, by whoever holds one of its partitions; only then come new batches of that partition. Time is an argument, in
seconds of any steady clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from streams.core.columns.reading import Unreadable
from streams.core.landing.land import ChargeContent, Content, Table

LATE = 10.0  # seconds since its events arrived: what is later is better landed cheaply, in fuller batches
MOST_PATIENCE = 4.0  # times as long as others, that it waits at most


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record, read. One that could not be read still keeps its place, with its problem."""

    offset: int
    digest: bytes
    content: Content | ChargeContent = field(compare=False)  # the digest says as much

    @property
    def rows(self) -> int:
        """Its rows in the table; an empty record counts as one, so that empty ones don't pile up without bound."""
        return max(1, self.content.size)

    @property
    def received_at(self) -> float | None:
        """When its first event arrived, in epoch seconds; None where it has none."""
        content = self.content
        if not isinstance(content, ChargeContent) or not content.size:
            return None
        return float(content.batch.block.micros("received_at")[0]) / 1e6


class Span(NamedTuple):
    """What a batch has of one partition: its records from offset `first` to `last`."""

    partition: int
    first: int
    last: int

    def after(self, committed: int) -> int:
        """Where a partition goes on from `committed` once this is landed.

        A span of a worker that had lost the partition may lie apart: it says nothing of what lies between.
        """
        return self.last + 1 if self.first <= committed <= self.last else committed


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is to land: which records, under which number. `saved_at` is when it was first written down."""

    topic: str
    spans: tuple[Span, ...]  # in the order of their partitions
    batch: int
    digest: str
    saved_at: datetime

    @property
    def token(self) -> str:
        """Under which ClickHouse inserts the batch's block once. Never used for other records."""
        spans = ",".join(f"{span.partition}:{span.first}:{span.last}" for span in self.spans)
        return f"{self.topic}:{spans}:{self.batch:016x}"

    def span(self, partition: int) -> Span | None:
        """What it has of a partition."""
        return next((span for span in self.spans if span.partition == partition), None)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are to land together, by partition."""

    parts: Mapping[int, tuple[Record, ...]]

    @property
    def records(self) -> list[Record]:
        """All of them, in the order of partitions."""
        return [record for partition in sorted(self.parts) for record in self.parts[partition]]

    def intent(self, topic: str, number: int, saved_at: datetime) -> Intent:
        """The batch, to be written down under a number that no other has."""
        spans = [
            Span(partition, records[0].offset, records[-1].offset) for partition, records in sorted(self.parts.items())
        ]
        return Intent(topic, tuple(spans), number, digest(self.records), saved_at)


def read_record(table: Table, offset: int, value: bytes | None) -> Record:
    """Read a record for its table. Bad input becomes a problem of the record, never an error."""
    checksum = hashlib.blake2b(value or b"", digest_size=16).digest()
    try:
        return Record(offset, checksum, table.read(value or b""))
    except Unreadable as problem:
        return Record(offset, checksum, Content(problems=(str(problem),)))


def digest(records: Iterable[Record]) -> str:
    """What these records are, offsets and bytes, in 128 bits."""
    whole = hashlib.blake2b(digest_size=16)
    for record in records:
        whole.update(record.offset.to_bytes(8, "big"))
        whole.update(record.digest)
    return whole.hexdigest()


def distinct(records: Iterable[Record]) -> tuple[list[bytes], int]:
    """Each key once, in order, and how many repeat one."""
    keys = [key for record in records for key in record.content.keys]
    once = list(dict.fromkeys(keys))
    return once, len(keys) - len(once)


class Partition:
    """The records of one partition that wait to be landed.

    `committed` is the first offset not known to be landed, `unread` the first that was not added yet.
    """

    def __init__(self, committed: int) -> None:
        self.committed = self.unread = committed
        self.rows = 0
        self._records: list[Record] = []
        self._polls: list[tuple[int, float, float | None]] = []
        """The last offset of each, when it was, for records wait since then, and when its first event arrived."""

    @property
    def waiting_since(self) -> float | None:
        """When the oldest record that waits was polled; None where none does."""
        return self._polls[0][1] if self._polls else None

    @property
    def received_at(self) -> float | None:
        """When the first event that waits arrived, about, in epoch seconds; None where none does."""
        return next((received for _, _, received in self._polls if received is not None), None)

    def add(self, records: Sequence[Record], now: float) -> None:
        """Take what was polled at `now`. Records come in order, from `committed` on."""
        if records:
            received = next((at for record in records if (at := record.received_at) is not None), None)
            self._polls.append((records[-1].offset, now, received))
            self.unread = records[-1].offset + 1
        self._records.extend(records)
        self.rows += sum(record.rows for record in records)

    def take(self, rows: int) -> tuple[Record, ...]:
        """The first records, until they have `rows`. They wait no longer; `finish` takes them once they are landed."""
        size = count = 0
        while count < len(self._records) and size < rows:
            size += self._records[count].rows
            count += 1
        taken, self._records = tuple(self._records[:count]), self._records[count:]
        self.rows -= size
        if taken:
            self._polls = [poll for poll in self._polls if poll[0] > taken[-1].offset]
        return taken

    def finish(self, records: Sequence[Record]) -> None:
        """What was taken is landed."""
        self.committed = records[-1].offset + 1


def due(partitions: Mapping[int, Partition], resting: Container[int], now: float, linger: float) -> bool:
    """Whether what waits of some partitions has waited for `linger`, or is a batch: none of them is to be read now."""
    waiting = [since for partition in partitions.values() if (since := partition.waiting_since) is not None]
    return bool(waiting) and (all(number in resting for number in partitions) or now - min(waiting) >= linger)


def patience(linger: float, age: float) -> float:
    """How long records wait where others wait for `linger`, when their events arrived `age` seconds ago.

    While `price` works on a backlog `land` has none of its own: it would land what came since the last batch, a half or
    a third of one, and an insert costs much however little is in it.
    """
    return linger * min(MOST_PATIENCE, max(1.0, age / LATE))


def resting(partitions: Mapping[int, Partition], ends: Mapping[int, int], rows: int) -> frozenset[int]:
    """Which partitions not to read now: who has its share of a batch while others have not, all once `rows` are there.

    `ends`: where each partition's log ends. Nobody waits for who is read to the end.

    So a batch of a backlog has as much of each partition, all of one time, and ClickHouse merges what lies one after
    the other. Rows of one time that are in several batches it merges one by one, which takes four times as long.
    """
    full = frozenset(number for number, one in partitions.items() if one.rows * len(partitions) >= rows)
    if any(one.unread < ends[number] for number, one in partitions.items() if number not in full):
        return full
    return frozenset(partitions if sum(one.rows for one in partitions.values()) >= rows else ())


def cut(partitions: Mapping[int, Partition], rows: int) -> Batch:
    """Take a batch of about `rows` from partitions by their number: a share of each, the rest of who waited longest."""
    waiting = sorted((since, number) for number, one in partitions.items() if (since := one.waiting_since) is not None)
    parts = {number: partitions[number].take(rows // len(waiting)) for _, number in waiting}
    left = rows - sum(record.rows for records in parts.values() for record in records)
    for _, number in waiting:
        more = partitions[number].take(left)
        parts[number] += more
        left -= sum(record.rows for record in more)
    return Batch({number: records for number, records in parts.items() if records})
