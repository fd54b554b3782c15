"""What has to be said to whom, until it is accepted. A new alert and its end are said; what only changes is not.

Each channel has a worker of its own, and within a channel one delivery that fails doesn't hold up the others; only the
end of an alert waits for its beginning. A delivery that was accepted is gone from the snapshot, so a restart from it
doesn't repeat it; one that was accepted after the snapshot is repeated, as nobody can know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.watch import Alert
from streams.io.notify import Channel, DeliveryError
from streams.metrics import Metrics

RETRY_MOST_SECONDS = 60.0
STOP_SECONDS = 5.0
REMEMBERED = 5_000  # alerts that are over, whose repeated records must not be said again

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Delivery:
    """One message for one channel. `due` is in time.monotonic."""

    alert: Alert
    attempts: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Said:
    """What was last put up for delivery about an alert. `episode` counts how often it fired anew."""

    status: str
    episode: int


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
        self._said: dict[str, Said] = {}
        self._firing: dict[str, Alert] = {}
        self._held: list[tuple[str, Alert]] = []
        self._wake = {name: asyncio.Event() for name in self._channels}
        self._workers: list[asyncio.Task[None]] = []
        self._stopping = False

    def offer(self, alert: Alert) -> bool:
        """Take an alert's newest state; True when there is something to say. It waits for `go`."""
        said = self._said.get(alert.alert_id)
        self._remember(alert)
        if said is not None and said.status == alert.status:
            self._refresh(alert)
            return False
        episode = 0 if said is None else said.episode + (alert.status == "firing")
        self._said[alert.alert_id] = Said(alert.status, episode)
        self._held.append((f"{alert.alert_id}:{alert.status}:{episode}", alert))
        return True

    def go(self) -> None:
        """Deliver what was offered: it is in a checkpoint now, or one can't be had."""
        for delivery_id, alert in self._held:
            for pending in self._pending.values():
                pending[delivery_id] = Delivery(alert)
        if self._held:
            self._held.clear()
            for wake in self._wake.values():
                wake.set()

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
        held = dict(self._held)
        return {
            "said": {alert_id: [said.status, said.episode] for alert_id, said in self._said.items()},
            "firing": [alert.model_dump(mode="json") for alert in self._firing.values()],
            "pending": {
                name: {
                    delivery_id: alert.model_dump(mode="json")
                    for delivery_id, alert in ({i: d.alert for i, d in pending.items()} | held).items()
                }
                for name, pending in self._pending.items()
            },
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `snapshot` wrote. What a channel that is no longer configured had to say is dropped."""
        self._said = {alert_id: Said(status, episode) for alert_id, (status, episode) in saved["said"].items()}
        self._firing = {body["alert_id"]: Alert.model_validate(body) for body in saved["firing"]}
        for name, pending in saved["pending"].items():
            if name in self._pending:
                self._pending[name] = {i: Delivery(Alert.model_validate(body)) for i, body in pending.items()}

    async def _work(self, channel: Channel) -> None:
        resend_at = time.monotonic()  # what was restored is said again at once
        while not self._stopping:
            now = time.monotonic()
            if (delivery_id := self._next(channel.name, now)) is not None:
                await self._deliver(channel, delivery_id)
            elif channel.resend_seconds is not None and now >= resend_at:
                resend_at = now + channel.resend_seconds
                await self._resend(channel)
            else:
                await self._sleep(channel, resend_at if channel.resend_seconds is not None else None)

    def _heads(self, name: str) -> dict[str, Delivery]:
        """What may go now or when it is due: of each alert the first, for its end waits for its beginning."""
        heads: dict[str, tuple[str, Delivery]] = {}
        for delivery_id, delivery in self._pending[name].items():
            heads.setdefault(delivery.alert.alert_id, (delivery_id, delivery))
        return dict(heads.values())

    def _next(self, name: str, now: float) -> str | None:
        return next((i for i, delivery in self._heads(name).items() if delivery.due <= now), None)

    async def _deliver(self, channel: Channel, delivery_id: str) -> None:
        delivery = self._pending[channel.name][delivery_id]
        if await self._send(channel, delivery.alert):
            del self._pending[channel.name][delivery_id]
            self._accepted()
            return
        delivery.due = time.monotonic() + min(self._retry_seconds * 2**delivery.attempts, RETRY_MOST_SECONDS)
        delivery.attempts = min(delivery.attempts + 1, 16)

    async def _resend(self, channel: Channel) -> None:
        waiting = {delivery.alert.alert_id for delivery in self._pending[channel.name].values()}
        for alert in list(self._firing.values()):
            if alert.alert_id not in waiting and not self._stopping:
                await self._send(channel, alert)

    async def _send(self, channel: Channel, alert: Alert) -> bool:
        try:
            await channel.send(alert)
        except DeliveryError as error:
            self._metrics.deliveries.labels(channel.name, "failed").inc()
            log.warning("alert is not delivered yet", channel=channel.name, alert_id=alert.alert_id, error=str(error))
            return False
        except Exception as error:  # a channel's fault must not end its worker; its text may hold a secret
            self._metrics.deliveries.labels(channel.name, "failed").inc()
            log.error("channel failed", channel=channel.name, alert_id=alert.alert_id, error=type(error).__name__)
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

    def _remember(self, alert: Alert) -> None:
        if alert.status == "firing":
            self._firing[alert.alert_id] = alert
        else:
            self._firing.pop(alert.alert_id, None)
        over = [alert_id for alert_id in self._said if alert_id not in self._firing]
        for alert_id in over[: max(0, len(over) - REMEMBERED)]:
            del self._said[alert_id]

    def _refresh(self, alert: Alert) -> None:
        """What still waits is said as it stands now, not as it stood."""
        self._held = [(i, alert if _same(old, alert) else old) for i, old in self._held]
        for pending in self._pending.values():
            for delivery in pending.values():
                if _same(delivery.alert, alert):
                    delivery.alert = alert


def _same(old: Alert, new: Alert) -> bool:
    return old.alert_id == new.alert_id and old.status == new.status
