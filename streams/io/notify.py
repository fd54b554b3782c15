"""Where alerts are said: what every channel is, and the service's own log."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import structlog

from schemas.watch import Alert
from streams.core.alert.notices import Notice, Why

log = structlog.get_logger(__name__)


class DeliveryError(Exception):
    """A channel didn't take a message. The text holds no secret."""


class Channel(Protocol):
    """One way to say an alert. Names are few and ours: they are metric labels."""

    name: str

    async def send(self, notice: Notice) -> None:
        """Deliver; returns when the receiver has accepted. Raises DeliveryError. Bounded in time."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Resending(Protocol):
    """A channel that takes what is not said again to be over."""

    resend_seconds: float

    async def resend(self, alert: Alert) -> None:
        """Say that an alert still fires. Raises DeliveryError; it is then said with the next round."""


class LogChannel:
    """The service's own log: what remains when nobody is configured."""

    name = "log"

    async def send(self, notice: Notice) -> None:
        for alert in notice.alerts:
            log.warning(
                "alert",
                why=notice.why.value,
                state=notice.state.value,
                severity=alert.severity.value,
                title=alert.title,
                explanation=alert.explanation,
                remedies=[] if notice.why is Why.RESOLVED else alert.remedies,
                alert_id=alert.alert_id,
            )

    async def close(self) -> None:
        return
