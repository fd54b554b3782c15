"""Virtual keys of a LiteLLM proxy, by its admin API: /key/info, /key/block, /key/unblock, /key/update.

Source: docs.litellm.ai/docs/proxy/virtual_keys. A key is named by its hash (what LiteLLM logs as user_api_key_hash), so
that no key itself is needed or seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

from streams.core.remedy.ledger import Order
from streams.io.actions.base import ActionError, answering, field
from streams.settings_remedies import Litellm

SYSTEM = "LiteLLM"


class LitellmActuator:
    """`litellm_block_key` and `litellm_lower_budget`."""

    def __init__(self, settings: Litellm, timeout_seconds: float) -> None:
        """Raises ValueError when there is no token."""
        token = settings.token().get_secret_value()
        self._client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    async def look(self, order: Order) -> Mapping[str, str]:
        info = await self._info(order.target)
        if order.action == "litellm_block_key":
            return {"blocked": "true" if info.get("blocked") else "false"}
        limit = info.get("max_budget")
        spent = Decimal(str(info.get("spend") or 0))
        # What is left to spend is counted from now, once: a repeat must not raise it by what was spent meanwhile.
        return {"max_budget": "none" if limit is None else str(limit),
                "lowered": str(spent + Decimal(order.parameters["budget_usd"]))}  # fmt: skip

    async def do(self, order: Order) -> None:
        if order.action == "litellm_block_key":
            await self._post("/key/block", {"key": order.target})
            return
        lowered, before = Decimal(order.undo["lowered"]), order.undo["max_budget"]
        if before != "none" and Decimal(before) <= lowered:
            raise ActionError(f"the key's budget is {before} already, not above {lowered}")
        await self._post("/key/update", {"key": order.target, "max_budget": float(lowered)})

    async def undo(self, order: Order) -> None:
        if order.action == "litellm_block_key":
            if order.undo["blocked"] == "false":  # else somebody had blocked it before us
                await self._post("/key/unblock", {"key": order.target})
            return
        before = order.undo["max_budget"]
        now = (await self._info(order.target)).get("max_budget")
        if ("none" if now is None else str(now)) == before:
            return
        if now is None or Decimal(str(now)) != Decimal(order.undo["lowered"]):
            raise ActionError("the key's budget was changed by somebody else since")
        restored = None if before == "none" else float(before)
        await self._post("/key/update", {"key": order.target, "max_budget": restored})

    async def close(self) -> None:
        await self._client.aclose()

    async def _info(self, key: str) -> dict[str, Any]:
        async with answering(SYSTEM):
            answer = await self._client.get("/key/info", params={"key": key})
            answer.raise_for_status()
        info = field(answer.json(), "info")
        if not isinstance(info, dict):
            raise ActionError("LiteLLM's answer has no info about the key")
        return info

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        async with answering(SYSTEM):
            (await self._client.post(path, json=body)).raise_for_status()
