"""Actions of people onto Kafka, where the alert stage takes them in order: for console, API, links and CLI alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from schemas.oncall import ActionKind, AlertAction, Via
from schemas.topics import FINDINGS
from streams.io import kafka
from streams.settings import Settings
from streams.stages.sending import Outgoing, Send


class Actions(Protocol):
    """Where actions go."""

    async def send(self, action: AlertAction) -> None:
        """Returns when the action is kept. Raises KafkaError or TimeoutError; then it may be sent again, the same."""


def make_action(
    alert_id: str,
    what: ActionKind,
    *,
    who: str,
    via: Via,
    at: datetime,
    note: str = "",
    snooze: timedelta | None = None,
    remedy_id: str = "",
    action_id: str = "",
) -> AlertAction:
    """An action with an id of its own, unless one is given. Raises ValueError naming the field that is wrong."""
    return AlertAction(
        action_id=action_id or uuid.uuid4().hex,
        alert_id=alert_id,
        what=what,
        who=who,
        via=via,
        at=at,
        note=note,
        until=at + snooze if snooze is not None else None,
        remedy_id=remedy_id,
    )


class KafkaActions:
    """Writes to `spend.findings`. The producer is made at the first action and kept."""

    def __init__(self, settings: Settings, timeout_seconds: float = 10.0) -> None:
        make: Callable[[], object] = partial(kafka.make_producer, settings, client_id="spendstream-actions")
        self._outgoing = Outgoing(make, in_flight=1)
        self._topic = kafka.topic_name(settings, FINDINGS)
        self._timeout = timeout_seconds
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._outgoing.stop()

    async def send(self, action: AlertAction) -> None:
        """See Actions."""
        record = Send(self._topic, action.alert_id.encode(), action.model_dump_json().encode())
        async with asyncio.timeout(self._timeout), self._turn:
            await self._outgoing.deliver([record])
