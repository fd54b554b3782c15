"""What has to be said to whom, until it is accepted.

Each channel has a worker of its own, and within a channel one delivery that fails doesn't hold up the others; only what
is said about one alert keeps its order. A delivery that was accepted is gone from the snapshot, so a restart from it
doesn't repeat it; one that was accepted after the snapshot is repeated, as nobody can know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.watch import Alert
from streams.core.alert.notices import BEGINS, ENDS, Notice, Why
from streams.io.notify import Channel, DeliveryError, Resending
from streams.metrics import Metrics

RETRY_MOST_SECONDS = 60.0
STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Delivery:
    """One notice for one channel. `due` is in time.monotonic."""

    notice: Notice
    attempts: int = 0
    due: float = 0.0


class Outbox:
    """Deliveries of one partition's alerts. Everything here runs on the event loop."""

    def __init__(
        self,
        channels: Sequence[Channel],
        metrics: Metrics,
        *,
        accepted: Callable[[], None] = lambda: None,
        retry_seconds: float = 1.0,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._metrics = metrics
        self._accepted = accepted
        self._retry_seconds = retry_seconds
        self._pending: dict[str, dict[str, Delivery]] = {name: {} for name in self._channels}
        self._firing: dict[str, dict[str, Alert]] = {name: {} for name in self._channels}  # what each knows to fire
        self._held: list[Notice] = []
        self._wake = {name: asyncio.Event() for name in self._channels}
        self._workers: list[asyncio.Task[None]] = []
        self._stopping = False

    def offer(self, notice: Notice) -> None:
        """Take a notice. It waits for `go`."""
        for name in notice.to:
            firing = self._firing.get(name, {})
            for alert in notice.alerts:
                if notice.why in BEGINS:
                    firing[alert.alert_id] = alert
                elif notice.why in ENDS:
                    firing.pop(alert.alert_id, None)
        self._held.append(notice)

    def refresh(self, alert: Alert) -> None:
        """An alert changed: what still waits is said as it stands now, not as it stood."""
        for firing in self._firing.values():
            if alert.alert_id in firing:
                firing[alert.alert_id] = alert
        self._held = [notice.refreshed(alert) for notice in self._held]
        for pending in self._pending.values():
            for delivery in pending.values():
                delivery.notice = delivery.notice.refreshed(alert)

    def go(self) -> None:
        """Deliver what was offered: it is in a checkpoint now, or one can't be had."""
        for notice in self._held:
            for name in notice.to:
                if name in self._pending and not self._is_late_reminder(name, notice):
                    self._pending[name][notice.notice_id] = Delivery(notice)
                    self._wake[name].set()
        self._held.clear()

    def start(self) -> None:
        """Begin to deliver, also what was restored."""
        self._workers = [asyncio.create_task(self._work(channel)) for channel in self._channels.values()]

    async def stop(self) -> None:
        """Let the deliveries in hand end, for a few seconds, and stop. What is not accepted stays in the snapshot."""
        self._stopping = True
        for wake in self._wake.values():
            wake.set()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=STOP_SECONDS)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []

    def waiting(self) -> int:
        """Deliveries that are not accepted yet."""
        return len(self._held) + sum(map(len, self._pending.values()))

    def snapshot(self) -> dict[str, Any]:
        """As JSON, with what is offered and not yet let go."""
        pending = {name: [d.notice for d in waiting.values()] for name, waiting in self._pending.items()}
        for notice in self._held:
            for name in notice.to:
                if name in pending:
                    pending[name].append(notice)
        return {
            "firing": {
                name: [alert.model_dump(mode="json") for alert in firing.values()]
                for name, firing in self._firing.items()
            },
            "pending": {name: [notice.snapshot() for notice in waiting] for name, waiting in pending.items()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `snapshot` wrote. What a channel that is no longer configured had to say is dropped."""
        for name, firing in saved["firing"].items():
            if name in self._firing:
                self._firing[name] = {body["alert_id"]: Alert.model_validate(body) for body in firing}
        for name, waiting in saved["pending"].items():
            if name in self._pending:
                notices = [Notice.restored(body) for body in waiting]
                self._pending[name] = {notice.notice_id: Delivery(notice) for notice in notices}

    async def _work(self, channel: Channel) -> None:
        every = channel.resend_seconds if isinstance(channel, Resending) else None
        resend_at = time.monotonic()  # what was restored is said again at once
        while not self._stopping:
            now = time.monotonic()
            if (delivery_id := self._next(channel.name, now)) is not None:
                await self._deliver(channel, delivery_id)
            elif every is not None and now >= resend_at:
                resend_at = now + every
                await self._resend(channel)
            else:
                await self._sleep(channel, None if every is None else resend_at)

    def _is_late_reminder(self, name: str, notice: Notice) -> bool:
        """A reminder for a receiver that hasn't even taken what was said before: they would only pile up."""
        waiting = {alert.alert_id for delivery in self._pending[name].values() for alert in delivery.notice.alerts}
        return notice.why is Why.AGAIN and notice.alert.alert_id in waiting

    def _heads(self, name: str) -> dict[str, Delivery]:
        """What may go now or when it is due: of each alert what was said first, for its end waits for its beginning."""
        heads: dict[str, Delivery] = {}
        spoken_of: set[str] = set()
        for delivery_id, delivery in self._pending[name].items():
            ids = {alert.alert_id for alert in delivery.notice.alerts}
            if not ids & spoken_of:
                heads[delivery_id] = delivery
            spoken_of |= ids
        return heads

    def _next(self, name: str, now: float) -> str | None:
        return next((i for i, delivery in self._heads(name).items() if delivery.due <= now), None)

    async def _deliver(self, channel: Channel, delivery_id: str) -> None:
        delivery = self._pending[channel.name][delivery_id]
        if await self._tried(channel, delivery.notice.alert.alert_id, channel.send(delivery.notice)):
            del self._pending[channel.name][delivery_id]
            self._accepted()
            return
        delivery.due = time.monotonic() + min(self._retry_seconds * 2**delivery.attempts, RETRY_MOST_SECONDS)
        delivery.attempts = min(delivery.attempts + 1, 16)

    async def _resend(self, channel: Channel) -> None:
        if not isinstance(channel, Resending):
            return
        waiting = {a.alert_id for delivery in self._pending[channel.name].values() for a in delivery.notice.alerts}
        for alert in list(self._firing[channel.name].values()):
            if alert.alert_id not in waiting and not self._stopping:
                await self._tried(channel, alert.alert_id, channel.resend(alert))

    async def _tried(self, channel: Channel, alert_id: str, sending: Coroutine[Any, Any, None]) -> bool:
        try:
            await sending
        except DeliveryError as error:
            self._metrics.deliveries.labels(channel.name, "failed").inc()
            log.warning("alert is not delivered yet", channel=channel.name, alert_id=alert_id, error=str(error))
            return False
        except Exception as error:  # a channel's fault must not end its worker; its text may hold a secret
            self._metrics.deliveries.labels(channel.name, "failed").inc()
            log.error("channel failed", channel=channel.name, alert_id=alert_id, error=type(error).__name__)
            return False
        self._metrics.deliveries.labels(channel.name, "sent").inc()
        return True

    async def _sleep(self, channel: Channel, until: float | None) -> None:
        due = [delivery.due for delivery in self._heads(channel.name).values()]
        wake = self._wake[channel.name]
        seconds = min([*due, *([until] if until is not None else [])], default=None)
        try:
            await asyncio.wait_for(wake.wait(), None if seconds is None else max(0.0, seconds - time.monotonic()))
        except TimeoutError:
            return
        wake.clear()
