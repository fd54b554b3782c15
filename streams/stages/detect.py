"""`detect`: ticks to findings. The state of a partition is the windows that wait, and a model per series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from schemas.records import Meter
from schemas.watch import Finding, FindingKind, Mark
from streams.core.detect.feedback import apply, feedback_from_json
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.roll import DAY, HOUR, METER_BY_TOPIC
from streams.core.windows.sums import utc
from streams.core.windows.ticks import Watermark
from streams.core.windows.ticks_json import from_json
from streams.io.checkpoints import State
from streams.stages.consuming import ConsumingService
from streams.stages.roll import Layout
from streams.stages.sending import Send

REPORT_EVERY = timedelta(seconds=5)  # counting looks at every series, and there may be 100,000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DetectState:
    """One partition of `spend.ticks`. `marked`: how far each pace was said to have come.

    `warmed`: paces learnt from a history (by `spendstream warm`) that have not had a live window yet.
    """

    partition: int
    merger: Merger
    watch: Watch
    warmed: set[tuple[Meter, int]]
    marked: dict[tuple[Meter, int], int]

    def window(self, complete: Complete) -> list[Finding]:
        """Detection of one window."""
        pace = (complete.meter, complete.seconds)
        if pace in self.warmed:
            self.warmed.discard(pace)
            self.watch.resume(*pace, complete.start)
        return self.watch.window(complete)


class DetectService(ConsumingService[DetectState]):
    """Merges windows, scores then learns, opens, updates and closes findings."""

    stage: ClassVar[str] = "detect"
    abstract: ClassVar[bool] = False

    def __init__(self, *args: Any, rules: WatchRules, layout: Layout, findings_topic: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rules = rules
        self._layout = layout
        self._findings = findings_topic
        self._reported_at: datetime | None = None

    def open(self, tp: TopicPartition, checkpoint: State | None) -> DetectState:
        merger, watch, warmed = Merger(self.settings.roll.max_cells), Watch(self._rules), set()
        if checkpoint is not None:
            merger.restore(checkpoint["merger"])
            watch.restore(checkpoint["watch"])
            warmed = {(meter, seconds) for meter, seconds in checkpoint.get("warmed", ())}
        for origin in self._layout.origins():
            for meter in METER_BY_TOPIC.values():
                for seconds in self._widths(meter):
                    merger.expect(meter, seconds, origin)
        return DetectState(tp.partition, merger, watch, warmed, {})

    def process(self, state: DetectState, records: Sequence[ConsumerRecord]) -> list[Send]:
        findings: list[Finding] = []
        for record in records:
            value = record.value or b""
            try:
                feedback = feedback_from_json(value)
                if feedback is not None:
                    apply(feedback, state.watch)
                    continue
                said = from_json(value)
            except (ValueError, LookupError, TypeError):
                log.error(
                    "record is no tick, watermark or feedback; it is skipped",
                    partition=record.partition,
                    offset=record.offset,
                )
                continue
            if isinstance(said, Watermark):
                for complete in state.merger.watermark(said):
                    self.metrics.series_windows.labels(complete.meter).inc(len(complete.windows))
                    findings += state.window(complete)
                continue
            for ticks in said:
                state.merger.ticks(ticks)
        return self._sends(state, findings)

    def idle(self, state: DetectState, now: datetime) -> Sequence[Send]:  # noqa: ARG002  it speaks for all partitions
        if self._reported_at is None or now - self._reported_at >= REPORT_EVERY:
            self._reported_at = now
            self._report()
        return ()

    def snapshot(self, state: DetectState) -> State:
        return {
            "merger": state.merger.snapshot(),
            "watch": state.watch.snapshot(),
            "warmed": sorted(map(list, state.warmed)),
        }

    def _widths(self, meter: Meter) -> tuple[int, ...]:
        roll = self.settings.roll
        widths: dict[Meter, tuple[int, ...]] = {
            "token_call": (roll.token_call_window_seconds,),
            "gpu_usage": (roll.gpu_usage_window_seconds,),
            "line_item": (HOUR, DAY),
        }
        return widths[meter]

    def _sends(self, state: DetectState, findings: list[Finding]) -> list[Send]:
        """Findings, then how far this partition has come: who groups them waits for every partition to say so."""
        sends = [
            Send(self._findings, finding.finding_id.encode(), finding.model_dump_json().encode())
            for finding in findings
        ]
        fence = True
        for (meter, seconds), time in state.merger.released().items():
            if time <= state.marked.get((meter, seconds), 0):
                continue
            state.marked[meter, seconds] = time
            mark = Mark(meter=meter, window_seconds=seconds, partition=state.partition, time=utc(time))
            sends.append(Send(self._findings, None, mark.model_dump_json().encode(), fence=fence))
            fence = False
        return sends

    def _report(self) -> None:
        counts = {kind.value: 0 for kind in FindingKind}
        series = {"live": 0, "warming": 0}
        for state in self.states():
            for kind, count in state.watch.open_findings().items():
                counts[kind] += count
            for known, count in state.watch.series().items():
                series[known] += count
        for kind, count in counts.items():
            self.metrics.open_findings.labels(kind).set(count)
        for known, count in series.items():
            self.metrics.series.labels(known).set(count)
