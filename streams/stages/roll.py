"""`roll`: charges to ticks. The state of a partition is its open windows; see `consuming` for what a crash leaves."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from schemas.records import Meter
from schemas.topics import CHARGES
from schemas.wire import DEALT_HEADERS, TICKS_HEADERS
from streams.core.columns.packed import ChargeBatch, unpack
from streams.core.columns.reading import Unreadable
from streams.core.windows.roll import METER_BY_TOPIC, Roller, RollRules
from streams.core.windows.sums import SeriesKey
from streams.core.windows.ticks import Origin, Ticks, Watermark
from streams.core.windows.ticks_json import Writer, watermark_to_json
from streams.io.checkpoints import State
from streams.stages.consuming import ConsumingService
from streams.stages.sending import Send

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """How many partitions the topics have on this cluster, by the names of the contracts."""

    partitions: Mapping[str, int]
    charges: int
    ticks: int

    def sources(self) -> list[tuple[Origin, Meter]]:
        """Every source partition: its charges come in every partition of `spend.charges`."""
        return [
            (Origin(topic, partition), METER_BY_TOPIC[topic])
            for topic, count in sorted(self.partitions.items())
            for partition in range(count)
        ]

    def origins(self) -> list[Origin]:
        """The partitions of `spend.charges`: what ticks come from."""
        return [Origin(CHARGES.name, partition) for partition in range(self.charges)]


@dataclass(slots=True)
class RollState:
    """One partition of `spend.charges`."""

    roller: Roller
    late: int = 0


class RollService(ConsumingService[RollState]):
    """Sums what lies in its partitions; each closed window goes to the partition of its series."""

    stage: ClassVar[str] = "roll"
    abstract: ClassVar[bool] = False
    in_step: ClassVar[bool] = True  # `detect` holds the windows that some partitions have told and others have not

    def __init__(self, *args: Any, rules: RollRules, layout: Layout, ticks_topic: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rules = rules
        self._layout = layout
        self._writer = Writer(lambda series: series_partition(series, layout.ticks))
        self._ticks = ticks_topic

    def open(self, tp: TopicPartition, checkpoint: State | None) -> RollState:
        roller = Roller(self._rules, tp.partition)
        if checkpoint is not None:
            roller.restore(checkpoint)
        for origin, meter in self._layout.sources():
            roller.expect(origin, meter)
        return RollState(roller, late=roller.late)

    def process(self, state: RollState, records: Sequence[ConsumerRecord]) -> list[Send]:
        batches: list[ChargeBatch] = []
        for record in records:
            try:
                batches.append(unpack(record.value or b""))
            except Unreadable:
                log.error("record is no charge record; it is skipped", partition=record.partition, offset=record.offset)
        said = state.roller.add(*batches)
        if state.roller.late > state.late:
            self.metrics.events.labels("late").inc(state.roller.late - state.late)
            state.late = state.roller.late
        return self._sends(said)

    def snapshot(self, state: RollState) -> State:
        return state.roller.snapshot()

    def _sends(self, said: Sequence[Ticks | Watermark]) -> list[Send]:
        """Ticks first, then the watermarks to every partition: what they speak of stands before them."""
        ticks = [
            Send(self._ticks, None, value, partition, headers=TICKS_HEADERS)
            for one in said if isinstance(one, Ticks)
            for partition, value in self._writer.records(one)
        ]  # fmt: skip
        values = [watermark_to_json(mark) for mark in said if isinstance(mark, Watermark)]
        spread = [(value, partition) for value in values for partition in range(self._layout.ticks)]
        return ticks + [
            Send(self._ticks, None, value, partition, fence=number == 0, headers=DEALT_HEADERS)
            for number, (value, partition) in enumerate(spread)
        ]


@lru_cache(maxsize=200_000)
def series_partition(series: SeriesKey, partitions: int) -> int:
    """The partition of `spend.ticks` that a series lives in, the same in every process and version."""
    return zlib.crc32("\x1f".join(f"{name}={value}" for name, value in series).encode()) % partitions
