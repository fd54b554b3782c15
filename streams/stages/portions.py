"""What one poll brings, in portions: in a backlog it may be hundreds of megabytes, once decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

from aiokafka import ConsumerRecord

PORTION_BYTES = 1 << 20  # taken in at once: decoded they are many times as much, and the loop stands still meanwhile
PORTION_RECORDS = 1_000

T = TypeVar("T")


def in_turn(work: Iterable[tuple[T, Sequence[ConsumerRecord]]]) -> Iterator[tuple[T, Sequence[ConsumerRecord]]]:
    """Portions of each partition's records, all partitions in step.

    In a backlog a poll may bring a hundred thousand events of one partition. Taken in alone they would run far ahead of
    the others', and who merges what comes of them would hold all of it until those have caught up.
    """
    cut = [[(held, some) for some in portions(records, PORTION_BYTES)] for held, records in work]
    for together in zip_longest(*cut):
        yield from (portion for portion in together if portion is not None)


def portions(records: Sequence[ConsumerRecord], most: int) -> Iterator[Sequence[ConsumerRecord]]:
    """The records, as many at a time as may be taken in at once: of `most` bytes, one at least."""
    first = size = 0
    for number, record in enumerate(records):
        length = len(record.value or b"")
        if number > first and (size + length > most or number - first >= PORTION_RECORDS):
            yield records[first:number]
            first, size = number, 0
        size += length
    yield records[first:]
