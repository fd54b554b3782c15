"""`roll`: charges to ticks. The state of a partition is its open windows; see `consuming` for what a crash leaves."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from schemas.records import Meter
from streams.core.packed import unpack
from streams.core.reading import Unreadable
from streams.core.roll import METER_BY_TOPIC, Roller, RollRules
from streams.core.sums import Origin, SeriesKey, Tick, Watermark, ticks_to_json, watermark_to_json
from streams.io.checkpoints import State
from streams.stages.consuming import ConsumingService
from streams.stages.sending import Send

log = structlog.get_logger(__name__)

TICKS_PER_RECORD = 2000


@dataclass(frozen=True, slots=True)
class Layout:
    """How many partitions the topics have on this cluster, by the names of the contracts."""

    partitions: Mapping[str, int]
    charges: int
    ticks: int

    def origins(self, charges_partition: int) -> list[tuple[Origin, Meter]]:
        """The source partitions whose charges come in one partition of `spend.charges`."""
        return [
            (Origin(topic, partition), METER_BY_TOPIC[topic])
            for topic, count in sorted(self.partitions.items())
            for partition in range(count)
            if partition % self.charges == charges_partition
        ]

    def all_origins(self) -> list[tuple[Origin, Meter]]:
        """Every source partition."""
        return [pair for partition in range(self.charges) for pair in self.origins(partition)]


@dataclass(slots=True)
class RollState:
    """One partition of `spend.charges`. `announce`: what is to be said of its source partitions before all else."""

    roller: Roller
    announce: list[Watermark]
    late: int = 0


class RollService(ConsumingService[RollState]):
    """Sums what lies in its partitions; each closed window goes to the partition of its series."""

    stage: ClassVar[str] = "roll"
    abstract: ClassVar[bool] = False

    def __init__(self, *args: Any, rules: RollRules, layout: Layout, ticks_topic: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rules = rules
        self._layout = layout
        self._ticks = ticks_topic

    def open(self, tp: TopicPartition, checkpoint: State | None) -> RollState:
        roller = Roller(self._rules)
        if checkpoint is not None:
            roller.restore(checkpoint)
        origins = self._layout.origins(tp.partition)
        announce = [mark for origin, meter in origins for mark in roller.expect(origin, meter)]
        return RollState(roller, announce, late=roller.late)

    def process(self, state: RollState, records: Sequence[ConsumerRecord]) -> list[Send]:
        said: list[Tick | Watermark] = list(state.announce)
        state.announce.clear()
        for record in records:
            try:
                charges = unpack(record.value or b"")
            except Unreadable:
                log.error("record is no charge record; it is skipped", partition=record.partition, offset=record.offset)
                continue
            said += state.roller.add(charges)
        if state.roller.late > state.late:
            self.metrics.events.labels("late").inc(state.roller.late - state.late)
            state.late = state.roller.late
        return self._sends(said)

    def idle(self, state: RollState, now: datetime) -> list[Send]:  # noqa: ARG002  windows close by what is read
        said, state.announce = state.announce, []
        return self._sends(said)

    def snapshot(self, state: RollState) -> State:
        return state.roller.snapshot()

    def _sends(self, said: Iterable[Tick | Watermark]) -> list[Send]:
        """Ticks first, then each origin's furthest watermark to every partition: what it speaks of stands before it."""
        windows: dict[tuple[Meter, int, int, Origin, int], list[Tick]] = {}
        marks: dict[tuple[Meter, int, Origin], Watermark] = {}
        for one in said:
            if isinstance(one, Watermark):
                marks[one.meter, one.seconds, one.origin] = one
            else:
                window, partition = one.window, series_partition(one.window.series, self._layout.ticks)
                key = (window.meter, window.seconds, window.start, one.origin, partition)
                windows.setdefault(key, []).append(one)
        ticks = [
            Send(self._ticks, None, ticks_to_json(group), key[-1])
            for key, all_of in windows.items()
            for group in _in_groups(all_of)
        ]
        values = [watermark_to_json(mark) for mark in marks.values()]
        spread = [(value, partition) for value in values for partition in range(self._layout.ticks)]
        return ticks + [
            Send(self._ticks, None, value, partition, fence=number == 0)
            for number, (value, partition) in enumerate(spread)
        ]


def _in_groups(ticks: list[Tick]) -> Iterator[list[Tick]]:
    """A record must not outgrow its topic: a window with very many series goes in several."""
    for at in range(0, len(ticks), TICKS_PER_RECORD):
        yield ticks[at : at + TICKS_PER_RECORD]


@lru_cache(maxsize=200_000)
def series_partition(series: SeriesKey, partitions: int) -> int:
    """The partition of `spend.ticks` that a series lives in, the same in every process and version."""
    return zlib.crc32("\x1f".join(f"{name}={value}" for name, value in series).encode()) % partitions
