"""A signed webhook that does something about an alert, and can undo it: your own automation.

It gets `{"type": "spendstream.remedy.do" | "spendstream.remedy.undo", ...}` under an id that is the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from streams.core.remedy.ledger import Order
from streams.io.actions.base import ActionAway
from streams.io.webhook import SignedWebhook, WebhookError


class WebhookActuator:
    """`webhook`. What it was before is the receiver's to know: it is told the same id for doing and undoing."""

    def __init__(self, webhooks: Mapping[str, SignedWebhook]) -> None:
        self._webhooks = webhooks

    async def look(self, order: Order) -> Mapping[str, str]:
        return {"remedy_id": order.remedy_id}

    async def do(self, order: Order) -> None:
        await self._post(order)

    async def undo(self, order: Order) -> None:
        await self._post(order)

    async def close(self) -> None:
        for webhook in self._webhooks.values():
            await webhook.close()

    async def _post(self, order: Order) -> None:
        body = {
            "type": f"spendstream.remedy.{order.step}",
            "data": {
                "remedy_id": order.remedy_id,
                "target": order.target,
                "alert": order.alert.model_dump(mode="json"),
            },
        }
        try:
            await self._webhooks[order.parameters["receiver"]].post(order.key, json.dumps(body).encode())
        except WebhookError as error:
            raise ActionAway(str(error)) from None
