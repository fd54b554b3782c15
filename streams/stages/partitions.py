"""What a consuming stage knows of a partition: what is held, where to start, who hears of a rebalance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

from streams.io.checkpoints import Checkpoint, CheckpointError

S = TypeVar("S")
RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS = 0.2, 10.0

log = structlog.get_logger(__name__)


class Progress(NamedTuple):
    """For the watchdog: records behind, and when (time.monotonic) one was last taken or there was none to take."""

    lag: int
    at: float


@dataclass(slots=True, eq=False)
class Held(Generic[S]):
    """A partition that is ours. Its state includes every record before `next_offset`."""

    tp: TopicPartition
    state: S
    next_offset: int
    end_offset: int
    dirty: bool = False  # there is something that the checkpoint doesn't hold


class AbandonedError(Exception):
    """The partition is being taken away, or the service stops, while outputs could not be sent."""


class Owner(Protocol):
    """Who takes and gives up partitions."""

    async def revoked(self, tps: Iterable[TopicPartition]) -> None: ...

    async def assigned(self, tps: Iterable[TopicPartition]) -> None: ...

    async def crash(self, reason: BaseException) -> None: ...


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Hands rebalances to their owner. aiokafka only logs what is raised here, so a failure crashes the owner."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        try:
            await self._owner.revoked(revoked)
        except Exception as error:
            await self._owner.crash(error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._owner.assigned(assigned)
        except AbandonedError:
            return  # stopping
        except Exception as error:
            await self._owner.crash(error)


def start_offset(
    stage: str, tp: TopicPartition, checkpoint: Checkpoint | None, *, first: int, end: int, committed: int
) -> int:
    """The offset to read first: the checkpoint's, else the committed one, but none that retention took.

    Raises CheckpointError when the log never held what the checkpoint speaks of.
    """
    name = f"{tp.topic}-{tp.partition}"
    if checkpoint is None:
        if committed:
            log.warning("no checkpoint: going on from the committed offset with an empty state", stage=stage, at=name)
        return max(first, committed)
    if end == 0 < checkpoint.offset:
        raise from_another_log(stage, tp, offset=checkpoint.offset, found=end)
    if checkpoint.offset < first:
        log.error("records expired before they were read", stage=stage, at=name, records=first - checkpoint.offset)
    return max(first, checkpoint.offset)


def from_another_log(stage: str, tp: TopicPartition, *, offset: int, found: int) -> CheckpointError:
    """The fault of a checkpoint whose topic was deleted and made anew: it is empty, or the broker starts over below.

    An end below the checkpoint proves nothing: the embedded broker understates the end by most of the last batch.
    """
    return CheckpointError(
        f"checkpoint of {stage}, {tp.topic}-{tp.partition}: it stands at offset {offset} and the broker gives {found}; "
        "the topic was made anew: move the checkpoints of this deployment away to start afresh"
    )


def backoff() -> Iterator[float]:
    """Growing waits, for ever."""
    wait = RETRY_FIRST_SECONDS
    while True:
        yield wait
        wait = min(2 * wait, RETRY_MOST_SECONDS)
