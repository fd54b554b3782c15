"""Alerts to a webhook of the user's own: JSON for programs, signed."""

from __future__ import annotations

import json
from typing import Any

from schemas.watch import Alert
from streams.core.alert.messages import Places, message
from streams.core.alert.notices import Notice
from streams.io.notify import DeliveryError
from streams.io.webhook import SignedWebhook, WebhookError


class WebhookChannel:
    """A receiver by its URL. The notice's id is the message's, so that a receiver can tell a repeat."""

    def __init__(self, name: str, webhook: SignedWebhook, *, places: Places | None = None) -> None:
        self.name = name
        self._webhook = webhook
        self._places = places or Places()

    async def send(self, notice: Notice) -> None:
        body = json.dumps(content(notice, self.name, self._places)).encode()
        try:
            await self._webhook.post(f"{notice.notice_id}:{self.name}", body)
        except WebhookError as error:
            raise DeliveryError(f"receiver {self.name}: {error}") from None

    async def close(self) -> None:
        await self._webhook.close()


def content(notice: Notice, to: str, places: Places) -> dict[str, Any]:
    """What a webhook gets: what is said, and each alert whole, as it is on `spend.alerts`."""
    said = message(notice, to, places)
    return {
        "type": f"spendstream.alert.{notice.why.value}",
        "timestamp": notice.at.isoformat(),
        "data": {
            "state": notice.state.value,
            "title": said.title,
            "body": said.body,
            "by": notice.by,
            "level": notice.level,
            "alerts": [_alert(alert, places) for alert in notice.alerts],
        },
    }


def _alert(alert: Alert, places: Places) -> dict[str, Any]:
    return {**alert.model_dump(mode="json"), "url": places.console(alert), "runbook": places.runbook(alert)}
