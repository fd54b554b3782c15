"""`alert`: findings to alerts, alerts to people, and what people do about them.

In this order; and what a crash just after each step leaves:

1. Findings, marks and actions are read. What findings and marks release becomes alerts; alerts and actions change what
   stands on the desk. Crash: they are read again, and give the same alerts and changes with the same ids and numbers.
2. Each revision of an alert and each change is written to its topic, confirmed. Crash: it is written again, the same.
3. State and outbox are saved: at once when there is something to say, else every `checkpoint_seconds`. Crash: the next
   owner delivers what is in the outbox.
   Only then are the orders of remedies carried out: what is to be done, and what the target was, is in the checkpoint.
4. The outbox delivers, each channel by itself, until accepted. Crash: what was accepted since the last save is said
   once more; nothing is left unsaid.
5. An accepted delivery leaves the outbox, which is saved at once: in that short moment a crash says a thing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from mode import Service
from pydantic import Field, TypeAdapter, ValidationError

from schemas.base import Contract
from schemas.oncall import OPEN_STATES, AlertAction, AlertState, ChangeKind, RemedyChange
from schemas.topics import ALERT_CHANGES, ALERTS, REMEDIES, TICKS, Topic
from schemas.watch import Alert, Finding, Mark, Says
from streams import build
from streams.core.alert import Alerter
from streams.core.alert.desk import Desk, Told
from streams.core.alert.notices import BEGINS, Notice, Why
from streams.core.remedy.ledger import Ledger
from streams.io.actions.base import Actuator
from streams.io.actions.make import make_actuators
from streams.io.channels import make_channels
from streams.io.checkpoints import State
from streams.io.kafka import topic_name
from streams.io.notify import Channel
from streams.io.outbox import Outbox
from streams.stages.consuming import ConsumingService
from streams.stages.feedback import feedback_on, feedback_sends
from streams.stages.remedying import Remedying
from streams.stages.sending import Send

RECORD: TypeAdapter[Finding | Mark | AlertAction] = TypeAdapter(
    Annotated[Finding | Mark | AlertAction, Field(discriminator="type")]
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Answering:
    """One partition of `spend.findings`. `waits`: since when, by the clock, findings up to a time wait for marks."""

    alerter: Alerter
    desk: Desk
    outbox: Outbox
    ledger: Ledger
    remedying: Remedying
    waits: tuple[datetime, datetime] | None = None


class AlertService(ConsumingService[Answering]):
    """Groups, writes and delivers. `channels` None takes those of the settings; `ticks` is how many partitions
    `spend.ticks` has: as many have to be heard of, and feedback goes to the one of its series.
    """

    stage: ClassVar[str] = "alert"
    abstract: ClassVar[bool] = False

    def __init__(
        self,
        *args: Any,
        ticks: int,
        channels: Sequence[Channel] | None = None,
        actuators: Mapping[str, Actuator] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        alerts = self.settings.alerts
        if channels is None:
            channels = make_channels(alerts, build.places(self.settings), self.clock)
        self._channels = list(channels)
        self._actuators = make_actuators(self.settings, self.clock) if actuators is None else actuators
        self._rules = build.alert_rules(self.settings)
        self._routing = build.routing(self.settings)
        self._hold = timedelta(seconds=alerts.hold_seconds)
        self._ticks = ticks
        self._accepted = asyncio.Event()

    def open(self, tp: TopicPartition, checkpoint: State | None) -> Answering:  # noqa: ARG002
        outbox = Outbox(self._channels, self.metrics, accepted=self._accepted.set)
        remedies = self.settings.remedies
        remedying = Remedying(
            self._actuators,
            attempts=remedies.attempts,
            retry_seconds=remedies.retry_seconds,
            finished=self._accepted.set,
        )
        alerter = Alerter(self._rules, self._ticks)
        state = Answering(alerter, Desk(self._routing), outbox, build.ledger(self.settings), remedying)
        if checkpoint is not None:
            state.alerter.restore(checkpoint["alerter"])
            if "desk" in checkpoint:
                state.desk.restore(checkpoint["desk"])
                outbox.restore(checkpoint["outbox"])
                state.ledger.restore(checkpoint["ledger"])
            else:
                self._upgrade(state, checkpoint["outbox"])
        outbox.start()
        remedying.take(state.ledger.orders())  # what was restored is in a checkpoint
        return state

    def process(self, state: Answering, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        sends: list[Send] = []
        for record in records:
            try:
                said = RECORD.validate_json(record.value or b"")
            except ValidationError as error:
                log.error(  # without the record's text
                    "record is no finding, mark or action; it is skipped",
                    partition=record.partition,
                    offset=record.offset,
                    faults=error.error_count(),
                )
                continue
            if isinstance(said, Finding):
                state.alerter.finding(said)
            elif isinstance(said, Mark):
                sends += self._alerts(state, state.alerter.mark(said))
            elif said.remedy_id:
                sends += self._remedies(state, state.ledger.act(said, is_open=self._is_open(state, said.alert_id)))
            else:
                sends += self._told(state, state.desk.act(said, self.clock()))
        return sends

    def idle(self, state: Answering, now: datetime) -> Sequence[Send]:
        """What time brings; and a partition of `spend.ticks` that is slow holds alerts up for so long and no longer."""
        sends = self._told(state, state.desk.tick(now))
        for result in state.remedying.results():
            sends += self._remedies(state, state.ledger.result(result, now))
        sends += self._remedies(state, state.ledger.tick(now))
        until = state.alerter.waiting_until
        if until is None:
            state.waits = None
        elif state.waits is None:
            state.waits = (now, until)
        elif now - state.waits[0] >= self._hold:
            flushed, state.waits = state.waits[1], None
            sends += self._alerts(state, state.alerter.flush(flushed))
        return sends

    def snapshot(self, state: Answering) -> State:
        return {
            "alerter": state.alerter.snapshot(),
            "desk": state.desk.snapshot(),
            "outbox": state.outbox.snapshot(),
            "ledger": state.ledger.snapshot(),
        }

    def saved(self, state: Answering) -> None:
        state.outbox.go()  # also when it could not be saved: to page twice is better than not at all
        state.remedying.take(state.ledger.orders())

    async def leave(self, state: Answering) -> None:
        await state.remedying.stop()
        await state.outbox.stop()
        self.touch(state)  # what was accepted while it stopped must be in the last checkpoint, or it is said again

    async def on_stop(self) -> None:
        await super().on_stop()
        for channel in self._channels:
            await channel.close()
        for actuator in set(self._actuators.values()):
            await actuator.close()

    @Service.task
    async def _save_what_was_accepted(self) -> None:
        while not self.should_stop:
            await self.wait(self._accepted.wait())
            if self._accepted.is_set():
                self._accepted.clear()
                for state in self.states():
                    self.touch(state)
                await self.checkpoint()

    def _alerts(self, state: Answering, alerts: Iterable[Alert]) -> list[Send]:
        sends: list[Send] = []
        for alert in alerts:
            sends.append(self._record(ALERTS, alert.alert_id, alert))
            state.outbox.refresh(alert)
            state.ledger.heard(alert)
            if alert.status == "firing":
                sends += self._remedies(state, state.ledger.propose(alert, self.clock()))
            sends += self._told(state, state.desk.detected(alert, self.clock()))
        return sends

    def _told(self, state: Answering, told: Told) -> list[Send]:
        """Put up what is to be said, and give what is to be written."""
        for notice in told.notices:
            offers = state.ledger.offers(notice.alert.alert_id) if notice.why in BEGINS else ()
            state.outbox.offer(replace(notice, offers=offers))
        if told.notices:
            self.touch(state)  # a reminder changes nothing that is written, and waits for a checkpoint all the same
            self.checkpoint_soon()
        sends = [self._record(ALERT_CHANGES, change.alert_id, change) for change in told.changes]
        for alert, change in told.feedback:
            says: Says = "expected" if change.what is ChangeKind.MARKED_EXPECTED else "false_positive"
            feedback = feedback_on(alert, says, by=change.who, at=change.at)
            sends += feedback_sends(feedback, topic=topic_name(self.settings, TICKS), partitions=self._ticks)
        return sends

    def _remedies(self, state: Answering, changes: Sequence[RemedyChange]) -> list[Send]:
        if changes and state.ledger.orders():
            self.checkpoint_soon()  # nothing is done before it is written down
        return [self._record(REMEDIES, change.remedy_id, change) for change in changes]

    def _is_open(self, state: Answering, alert_id: str) -> bool:
        case = state.desk.case(alert_id)
        return case is not None and case.life.state in OPEN_STATES

    def _record(self, topic: Topic, key: str, value: Contract) -> Send:
        return Send(topic_name(self.settings, topic), key.encode(), value.model_dump_json().encode())

    def _upgrade(self, state: Answering, outbox: State) -> None:
        """A checkpoint of 0.1, which had no desk: what fires was told, and only who still waits for it is told."""
        now = self.clock()
        firing = state.alerter.firing()
        known = [alert.model_dump(mode="json") for alert in firing]
        state.desk.adopt(firing, now)
        state.outbox.restore(
            {
                "firing": {channel.name: known for channel in self._channels},
                "pending": {
                    name: [_first_words(name, key, body, now).snapshot() for key, body in waiting.items()]
                    for name, waiting in outbox["pending"].items()
                },
            }
        )


def _first_words(name: str, notice_id: str, body: State, now: datetime) -> Notice:
    alert = Alert.model_validate(body)
    begins = alert.status == "firing"
    why, stands = (Why.FIRING, AlertState.FIRING) if begins else (Why.RESOLVED, AlertState.RESOLVED)
    return Notice(notice_id, why, (name,), (alert,), stands, now)
