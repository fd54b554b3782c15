"""Alerts to a Prometheus Alertmanager, which routes, groups and silences them with those of everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from schemas.watch import Alert
from streams.io.notify import DeliveryError

PATH = "/api/v2/alerts"
TIMEOUT_SECONDS = 10.0


class AlertmanagerChannel:
    """Posts to its v2 API, as Prometheus does: what fires is posted again and again, else it counts as over."""

    name = "alertmanager"

    def __init__(
        self, url: str, *, resend_seconds: float, clock: Callable[[], datetime], console_url: str = ""
    ) -> None:
        self.resend_seconds: float | None = resend_seconds
        self._clock = clock
        self._console_url = console_url
        self._labels: dict[str, dict[str, str]] = {}
        self._client = httpx.AsyncClient(base_url=url.rstrip("/"), timeout=TIMEOUT_SECONDS)

    async def send(self, alert: Alert) -> None:
        said = self._labels.get(alert.alert_id)
        posted = [self._posted(alert, labels_of(alert))]
        if said is not None and said != labels_of(alert):
            # Labels are an alert's identity there: the one by the former labels would go on until it times out.
            posted.append({**self._posted(alert, said), "endsAt": self._clock().isoformat()})
        try:
            response = await self._client.post(PATH, json=posted)
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise DeliveryError(f"Alertmanager answered {error.response.status_code}") from None
        except httpx.HTTPError as error:
            raise DeliveryError(f"Alertmanager can't be reached: {type(error).__name__}") from None
        if alert.status == "resolved":
            self._labels.pop(alert.alert_id, None)
        else:
            self._labels[alert.alert_id] = labels_of(alert)

    async def close(self) -> None:
        await self._client.aclose()

    def _posted(self, alert: Alert, with_labels: dict[str, str]) -> dict[str, Any]:
        posted: dict[str, Any] = {
            "labels": with_labels,
            "annotations": annotations_of(alert),
            "startsAt": alert.opened_at.isoformat(),
        }
        if alert.status == "resolved":
            posted["endsAt"] = self._clock().isoformat()  # an event time long past would be taken for an old story
        if self._console_url:
            posted["generatorURL"] = f"{self._console_url.rstrip('/')}/alerts/{alert.alert_id}"
        return posted


def labels_of(alert: Alert) -> dict[str, str]:
    """What routes and groups it. An empty value is no label in Alertmanager, so it is left out."""
    named = {name: value for name, value in alert.series.items() if value}
    return {
        **named,
        "alertname": "Spend" + "".join(part.capitalize() for part in alert.kind.value.split("_")),
        "alert_id": alert.alert_id,
        "kind": alert.kind.value,
        "meter": alert.meter,
        "severity": alert.severity.value,
        "source": "spendstream",
    }


def annotations_of(alert: Alert) -> dict[str, str]:
    """What people read."""
    return {
        "summary": alert.title,
        "description": alert.explanation,
        "remedies": "\n".join(f"- {remedy}" for remedy in alert.remedies),
        "excess_usd": f"{alert.excess_usd:.2f}",
        "projected_usd_24h": f"{alert.projected_usd_24h:.2f}",
    }
