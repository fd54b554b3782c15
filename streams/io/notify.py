"""Where alerts are said: the channels, and the ones that apprise speaks (chat, mail, pagers).

An apprise URL holds a secret. It stays inside apprise, whose own log lines, and those of the HTTP client below it, are
kept out of ours.
"""

from __future__ import annotations

import logging
from typing import Protocol

import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from pydantic import SecretStr

from schemas.watch import Alert, Severity
from streams.core.alert.words import usd
from streams.settings import Receiver

SEND_SECONDS = 20.0
TYPES = {Severity.INFO: NotifyType.INFO, Severity.WARNING: NotifyType.WARNING, Severity.CRITICAL: NotifyType.FAILURE}

log = structlog.get_logger(__name__)


class DeliveryError(Exception):
    """A channel didn't take a message. The text holds no secret."""


class Channel(Protocol):
    """One way to say an alert. Names are few and ours: they are metric labels."""

    name: str
    resend_seconds: float | None  # how often what fires must be said again; None: once

    async def send(self, alert: Alert) -> None:
        """Deliver; returns when the receiver has accepted. Raises DeliveryError. Bounded in time."""

    async def close(self) -> None:
        """Let go of connections."""


class AppriseChannel:
    """A receiver by its apprise URL."""

    resend_seconds: float | None = None

    def __init__(self, name: str, url: SecretStr, *, console_url: str = "") -> None:
        """Raises ValueError when apprise can't use the URL."""
        _keep_quiet()
        self.name = name
        self._console_url = console_url
        self._apprise = Apprise(asset=AppriseAsset(app_id="Spendstream", app_desc="Spendstream", secure_logging=True))
        if not self._apprise.add(url.get_secret_value()):
            raise ValueError(f"receiver {name}: apprise can't use its URL; see the URLs it knows at appriseit.com")

    async def send(self, alert: Alert) -> None:
        kind = NotifyType.SUCCESS if alert.status == "resolved" else TYPES[alert.severity]
        result = await self._apprise.async_notify(
            title=subject(alert),
            body=body(alert, self._console_url),
            notify_type=kind,
            body_format=NotifyFormat.TEXT,
            timeout=SEND_SECONDS,
        )
        if not result:
            raise DeliveryError(f"receiver {self.name} did not accept the message")

    async def close(self) -> None:
        return


class LogChannel:
    """The service's own log: what remains when nobody is configured."""

    name = "log"
    resend_seconds: float | None = None

    async def send(self, alert: Alert) -> None:
        log.warning(
            "alert",
            status=alert.status,
            severity=alert.severity.value,
            title=alert.title,
            why=alert.explanation,
            remedies=alert.remedies,
            alert_id=alert.alert_id,
        )

    async def close(self) -> None:
        return


def check_target(receiver: Receiver) -> None:
    """See that a receiver's URL is there and that apprise can use it. Raises ValueError or OSError naming the fault."""
    AppriseChannel(receiver.name, receiver.resolved_url())


def subject(alert: Alert) -> str:
    """The line that a lock screen shows."""
    return f"{'RESOLVED' if alert.status == 'resolved' else alert.severity.value.upper()}: {alert.title}"


def body(alert: Alert, console_url: str = "") -> str:
    """What, why, what to do, how much: in short lines."""
    lines = [alert.explanation]
    if alert.status == "resolved":
        at = f" at {alert.resolved_at:%H:%M} UTC" if alert.resolved_at else ""
        less = alert.excess_usd < 0
        lines.append(f"It ended{at} and came to {usd(alert.excess_usd)} {'less' if less else 'more'} than expected.")
    else:
        if alert.remedies:
            lines += ["", "What to do:", *(f"- {remedy}" for remedy in alert.remedies)]
        lines += ["", f"So far {usd(alert.excess_usd)}; if it goes on {usd(alert.projected_usd_24h)} in 24 hours."]
    lines.append(f"{console_url.rstrip('/')}/alerts/{alert.alert_id}" if console_url else alert.alert_id)
    return "\n".join(lines)


def _keep_quiet() -> None:
    """apprise and urllib3 write request URLs to their debug logs, and with them the secrets."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
