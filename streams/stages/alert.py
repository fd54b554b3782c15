"""`alert`: findings to alerts, and alerts to people.

In this order; and what a crash just after each step leaves:

1. Findings and marks are read into the alerter; what they release becomes alerts. Crash: they are read again, and give
   the same alerts with the same ids and revisions.
2. Each revision is written to `spend.alerts`, confirmed. Crash: it is written again, the same.
3. State and outbox are saved: at once when there is something to say, else every `checkpoint_seconds`. Crash: the next
   owner delivers what is in the outbox.
4. The outbox delivers, each channel by itself, until accepted. Crash: what was accepted since the last save is said
   once more; nothing is left unsaid.
5. An accepted delivery leaves the outbox, which is saved at once: in that short moment a crash says a thing twice.

An alert is said when it begins to fire and when it is resolved; other revisions only go to `spend.alerts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from mode import Service
from pydantic import Field, TypeAdapter, ValidationError

from schemas.topics import ALERTS
from schemas.watch import Alert, Finding, Mark
from streams import build
from streams.core.alert import Alerter
from streams.io.alertmanager import AlertmanagerChannel
from streams.io.checkpoints import State
from streams.io.kafka import topic_name
from streams.io.notify import AppriseChannel, Channel, LogChannel
from streams.io.outbox import Outbox
from streams.settings import Alerts
from streams.stages.consuming import ConsumingService
from streams.stages.sending import Send

RECORD: TypeAdapter[Finding | Mark] = TypeAdapter(Annotated[Finding | Mark, Field(discriminator="type")])

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AlertState:
    """One partition of `spend.findings`. `waits`: since when, by the clock, findings up to a time wait for marks."""

    alerter: Alerter
    outbox: Outbox
    waits: tuple[datetime, datetime] | None = None


class AlertService(ConsumingService[AlertState]):
    """Groups, writes and delivers. `channels` None takes those of the settings."""

    stage: ClassVar[str] = "alert"
    abstract: ClassVar[bool] = False

    def __init__(self, *args: Any, channels: Sequence[Channel] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        alerts = self.settings.alerts
        self._channels = list(channels) if channels is not None else make_channels(alerts, self.clock)
        self._rules = build.alert_rules(self.settings)
        self._hold = timedelta(seconds=alerts.hold_seconds)
        self._accepted = asyncio.Event()

    def open(self, tp: TopicPartition, checkpoint: State | None) -> AlertState:  # noqa: ARG002
        outbox = Outbox(self._channels, self.metrics, accepted=self._accepted.set)
        state = AlertState(Alerter(self._rules), outbox)
        if checkpoint is not None:
            state.alerter.restore(checkpoint["alerter"])
            outbox.restore(checkpoint["outbox"])
        outbox.start()
        return state

    def process(self, state: AlertState, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        alerts: list[Alert] = []
        for record in records:
            try:
                said = RECORD.validate_json(record.value or b"")
            except ValidationError as error:
                log.error(  # without the record's text
                    "record is neither finding nor mark; it is skipped",
                    partition=record.partition,
                    offset=record.offset,
                    faults=error.error_count(),
                )
                continue
            if isinstance(said, Finding):
                state.alerter.finding(said)
            else:
                alerts += state.alerter.mark(said)
        return self._say(state, alerts)

    def idle(self, state: AlertState, now: datetime) -> Sequence[Send]:
        """A partition of `spend.ticks` that is slow, or silent, holds alerts up for `hold_seconds` and no longer."""
        until = state.alerter.waiting_until
        if until is None:
            state.waits = None
        elif state.waits is None:
            state.waits = (now, until)
        elif now - state.waits[0] >= self._hold:
            flushed, state.waits = state.waits[1], None
            return self._say(state, state.alerter.flush(flushed))
        return ()

    def snapshot(self, state: AlertState) -> State:
        return {"alerter": state.alerter.snapshot(), "outbox": state.outbox.snapshot()}

    def saved(self, state: AlertState) -> None:
        state.outbox.go()  # also when it could not be saved: to page twice is better than not at all

    async def leave(self, state: AlertState) -> None:
        await state.outbox.stop()

    async def on_stop(self) -> None:
        await super().on_stop()
        for channel in self._channels:
            await channel.close()

    @Service.task
    async def _save_what_was_accepted(self) -> None:
        while not self.should_stop:
            await self.wait(self._accepted.wait())
            if self._accepted.is_set():
                self._accepted.clear()
                for state in self.states():
                    self.touch(state)
                await self.checkpoint()

    def _say(self, state: AlertState, alerts: Sequence[Alert]) -> list[Send]:
        news = [alert for alert in alerts if state.outbox.offer(alert)]
        if news:
            self.checkpoint_soon()
        topic = topic_name(self.settings, ALERTS)
        return [Send(topic, alert.alert_id.encode(), alert.model_dump_json().encode()) for alert in alerts]


def make_channels(alerts: Alerts, clock: Callable[[], datetime]) -> list[Channel]:
    """The channels of the settings. Raises ValueError or OSError naming the receiver that can't be used."""
    channels: list[Channel] = [
        AppriseChannel(receiver.name, receiver.resolved_url(), console_url=alerts.console_url)
        for receiver in alerts.receivers
    ]
    if alerts.alertmanager_url:
        channels.append(
            AlertmanagerChannel(
                alerts.alertmanager_url,
                resend_seconds=alerts.resend_seconds,
                clock=clock,
                console_url=alerts.console_url,
            )
        )
    if alerts.log or not channels:
        channels.append(LogChannel())
    return channels
