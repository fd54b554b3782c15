"""Alerts to chat, mail and pagers, by apprise.

An apprise URL holds a secret. It stays inside apprise, whose own log lines, and those of the HTTP client below it, are
kept out of ours.
"""

from __future__ import annotations

import logging

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from pydantic import SecretStr

from schemas.watch import Severity
from streams.core.alert.messages import Places, Style, message
from streams.core.alert.notices import Notice, Why
from streams.io.notify import DeliveryError

SEND_SECONDS = 20.0
TYPES = {Severity.INFO: NotifyType.INFO, Severity.WARNING: NotifyType.WARNING, Severity.CRITICAL: NotifyType.FAILURE}


class AppriseChannel:
    """A receiver by its apprise URL."""

    def __init__(self, name: str, url: SecretStr, *, places: Places | None = None, style: Style = "full") -> None:
        """Raises ValueError when apprise can't use the URL."""
        _keep_quiet()
        self.name = name
        self._places = places or Places()
        self._style = style
        self._apprise = Apprise(asset=AppriseAsset(app_id="Spendstream", app_desc="Spendstream", secure_logging=True))
        if not self._apprise.add(url.get_secret_value()):
            raise ValueError(f"receiver {name}: apprise can't use its URL; see the URLs it knows at appriseit.com")

    async def send(self, notice: Notice) -> None:
        said = message(notice, self.name, self._places, self._style)
        result = await self._apprise.async_notify(
            title=said.title,
            body=said.body,
            notify_type=NotifyType.SUCCESS if notice.why is Why.RESOLVED else TYPES[notice.alert.severity],
            body_format=NotifyFormat.TEXT,
            timeout=SEND_SECONDS,
        )
        if not result:
            raise DeliveryError(f"receiver {self.name} did not accept the message")

    async def close(self) -> None:
        return


def _keep_quiet() -> None:
    """apprise and urllib3 write request URLs to their debug logs, and with them the secrets."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
