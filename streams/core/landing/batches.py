"""How a partition's records become batches that are landed once, whatever is repeated.

A batch is written down before it is inserted (Intent). After a crash the same records are landed again under the same
intent first; only then come new batches. Time is an argument, in seconds of any steady clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from streams.core.columns.reading import Unreadable
from streams.core.landing.land import ChargeContent, Content, Table


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


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is to land: which records, under which number. `saved_at` is when it was first written down."""

    topic: str
    partition: int
    first: int
    last: int
    batch: int
    digest: str
    saved_at: datetime

    @property
    def token(self) -> str:
        """Under which ClickHouse inserts the batch's block once. Never used for other records."""
        return f"{self.topic}:{self.partition}:{self.first}:{self.last}:{self.batch:016x}"


@dataclass(frozen=True, slots=True)
class Work:
    """Records to land together. `replay` is the open intent that they must be landed under, if there is one."""

    records: tuple[Record, ...]
    replay: Intent | None = None

    @property
    def intact(self) -> bool:
        """Whether these are still the records that the intent was for (a topic may have been made anew)."""
        return self.replay is None or self.replay.digest == digest(self.records)


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


PATIENCE_SECONDS = 60.0  # after a fail-over a broker may for a while show less of its log than it did before


class Partition:
    """The records of one partition between Kafka and the table.

    `committed` is the first offset not known to be landed; `replays` are the intents found open. Records come in order
    from `start` on. One piece of work is under way at a time: take it by `next`, give it back by `finish`. An intent
    beyond the end of the log is given up after `patience` seconds: its topic was made anew.
    """

    def __init__(self, committed: int, replays: Sequence[Intent] = (), patience: float = PATIENCE_SECONDS) -> None:
        self.committed = committed
        self.rows = 0
        self._replays = sorted(replays, key=lambda intent: (intent.first, intent.saved_at, intent.batch))
        self._records: list[Record] = []
        self._polls: list[tuple[int, float]] = []  # the last offset of each, and when it was: records wait since then
        self._patience = patience
        self._short_since: float | None = None

    @property
    def start(self) -> int:
        """From where records are needed."""
        return min([self.committed, *(intent.first for intent in self._replays)])

    @property
    def replaying(self) -> bool:
        """Whether an open intent waits for its records: they must be let in, however many there are."""
        return bool(self._replays)

    def add(self, records: Sequence[Record], now: float) -> None:
        """Take what was polled at `now`."""
        if records:
            self._polls.append((records[-1].offset, now))
        self._records.extend(records)
        self.rows += sum(record.rows for record in records)

    def next(self, now: float, rows: int, linger: float, end: int | None = None) -> Work | None:
        """The next batch: an open intent's records once all are here, else what fills `rows` or waited for `linger`.

        `end` is the offset that the log ends before, where it is known.
        """
        if self._replays:
            return self._replay(self._replays[0], now, end)
        if not self._records or (self.rows < rows and now - self._polls[0][1] < linger):
            return None
        size = taken = 0
        while taken < len(self._records) and size < rows:
            size += self._records[taken].rows
            taken += 1
        return Work(tuple(self._records[:taken]))

    def finish(self, work: Work) -> int | None:
        """The work is landed, or given up where it is not intact. Returns the offset to commit where that has moved."""
        before = self.committed
        if work.replay is None:
            self.committed = work.records[-1].offset + 1
        else:
            self._replays.remove(work.replay)
            # An intent of a worker that had lost the partition may lie apart: it says nothing of what lies between.
            if work.intact and work.replay.first <= self.committed <= work.replay.last:
                self.committed = work.replay.last + 1
        if not self._replays:
            self._records = [record for record in self._records if record.offset >= self.committed]
            self._polls = [poll for poll in self._polls if poll[0] >= self.committed]
            self.rows = sum(record.rows for record in self._records)
        return self.committed if self.committed != before else None

    def _replay(self, intent: Intent, now: float, end: int | None) -> Work | None:
        here = tuple(record for record in self._records if intent.first <= record.offset <= intent.last)
        if here and self._records[-1].offset >= intent.last:
            return Work(here, intent)
        if end is None or end > intent.last:
            self._short_since = None
            return None
        if self._short_since is None:
            self._short_since = now
        return Work(here, intent) if now - self._short_since >= self._patience else None
