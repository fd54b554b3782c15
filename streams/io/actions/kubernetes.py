"""The scale of a Kubernetes workload: GET and PATCH of the subresource `scale`, and nothing else.

Source: kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1. The token is read for each
request, for the one of a service account changes by the hour.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping

import httpx

from streams.core.remedy.ledger import Order
from streams.io.actions.base import ActionError, answering, field
from streams.settings_remedies import Kubernetes

SYSTEM = "Kubernetes"
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # a DNS name: nothing that leads elsewhere in the path
KINDS = frozenset({"deployments", "statefulsets", "replicasets"})


class KubernetesActuator:
    """`kubernetes_scale`. It never scales up: a workload that is smaller already is left alone."""

    def __init__(self, settings: Kubernetes, timeout_seconds: float) -> None:
        """Raises ValueError or OSError when token or CA can't be read."""
        settings.token()
        self._settings = settings
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        self._client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/"), timeout=timeout_seconds, verify=context, trust_env=False
        )

    async def look(self, order: Order) -> Mapping[str, str]:
        return {"replicas": str(await self._replicas(order.target))}

    async def do(self, order: Order) -> None:
        wanted, before = int(order.parameters["replicas"]), int(order.undo["replicas"])
        if before > wanted:
            await self._patch(order.target, wanted)

    async def undo(self, order: Order) -> None:
        before, ours = int(order.undo["replicas"]), int(order.parameters.get("replicas", "0"))
        now = await self._replicas(order.target)
        if now == before:
            return
        if now != ours:
            raise ActionError(f"it was scaled to {now} by somebody else since")
        await self._patch(order.target, before)

    async def close(self) -> None:
        await self._client.aclose()

    async def _replicas(self, target: str) -> int:
        async with answering(SYSTEM):
            answer = await self._client.get(_path(target), headers=self._headers())
            answer.raise_for_status()
        return int(field(answer.json(), "spec", "replicas"))

    async def _patch(self, target: str, replicas: int) -> None:
        headers = {**self._headers(), "Content-Type": "application/merge-patch+json"}
        async with answering(SYSTEM):
            answer = await self._client.patch(_path(target), json={"spec": {"replicas": replicas}}, headers=headers)
            answer.raise_for_status()

    def _headers(self) -> dict[str, str]:
        try:
            return {"Authorization": f"Bearer {self._settings.token().get_secret_value()}"}
        except ValueError as error:
            raise ActionError(str(error)) from None


def _path(target: str) -> str:
    namespace, kind, name = target.split("/") if target.count("/") == 2 else ("", "", "")
    if kind not in KINDS or not NAME.fullmatch(namespace) or not NAME.fullmatch(name):
        raise ActionError("the target is no namespace/deployments/name of Kubernetes")
    return f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}/scale"
