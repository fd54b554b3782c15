"""Alerts to a Prometheus Alertmanager, which routes, groups and silences them with those of everything else.

What is acknowledged or snoozed here is silenced there, so that it doesn't go on paging; the silence ends before the
alert does, else its end would be silenced with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx

from schemas.watch import Alert
from streams.core.alert.messages import Places
from streams.core.alert.notices import Notice, Why
from streams.io.notify import DeliveryError

ALERTS, SILENCES, SILENCE = "/api/v2/alerts", "/api/v2/silences", "/api/v2/silence"
TIMEOUT_SECONDS = 10.0
ACKED_FOR = timedelta(days=7)  # a silence needs an end; an alert that is acknowledged for so long asks again
CREATOR = "spendstream"


class AlertmanagerChannel:
    """Posts to its v2 API, as Prometheus does: what fires is posted again and again, else it counts as over."""

    name = "alertmanager"

    def __init__(
        self, url: str, *, resend_seconds: float, clock: Callable[[], datetime], places: Places | None = None
    ) -> None:
        self.resend_seconds = resend_seconds
        self._clock = clock
        self._places = places or Places()
        self._labels: dict[str, dict[str, str]] = {}
        self._client = httpx.AsyncClient(base_url=url.rstrip("/"), timeout=TIMEOUT_SECONDS)

    async def send(self, notice: Notice) -> None:
        with _as_delivery_errors():
            for alert in notice.alerts:
                await self._say(alert, notice)

    async def resend(self, alert: Alert) -> None:
        with _as_delivery_errors():
            await self._post(alert, over=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def _say(self, alert: Alert, notice: Notice) -> None:
        if notice.why is Why.AGAIN:  # what fires is posted again anyway, and it reminds by its own repeat_interval
            return
        if notice.why in {Why.ACKED, Why.SNOOZED}:
            await self._unsilence(alert.alert_id)
            await self._silence(alert.alert_id, notice)
            return
        if notice.why in {Why.UNACKED, Why.RESOLVED}:
            await self._unsilence(alert.alert_id)
        if notice.why is not Why.UNACKED:
            await self._post(alert, over=notice.why is Why.RESOLVED)

    async def _post(self, alert: Alert, *, over: bool) -> None:
        said, labels = self._labels.get(alert.alert_id), labels_of(alert)
        posted = [self._posted(alert, labels, over=over)]
        if said is not None and said != labels:
            # Labels are an alert's identity there: the one by the former labels would go on until it times out.
            posted.append(self._posted(alert, said, over=True))
        (await self._client.post(ALERTS, json=posted)).raise_for_status()
        if over:
            self._labels.pop(alert.alert_id, None)
        else:
            self._labels[alert.alert_id] = labels

    async def _silence(self, alert_id: str, notice: Notice) -> None:
        until = notice.until or notice.at + ACKED_FOR
        now = self._clock()
        if until <= now:
            return
        body = {
            "matchers": [{"name": "alert_id", "value": alert_id, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": until.isoformat(),
            "createdBy": CREATOR,
            "comment": f"{notice.why.value} by {notice.by or 'spendstream'}",
        }
        (await self._client.post(SILENCES, json=body)).raise_for_status()

    async def _unsilence(self, alert_id: str) -> None:
        """End the silences of an alert that are ours. Asked for there, so that a restart forgets none."""
        answer = await self._client.get(SILENCES, params={"filter": f'alert_id="{alert_id}"'})
        answer.raise_for_status()
        for silence in answer.json() or []:
            if silence["createdBy"] == CREATOR and silence["status"]["state"] != "expired":
                (await self._client.delete(f"{SILENCE}/{silence['id']}")).raise_for_status()

    def _posted(self, alert: Alert, with_labels: dict[str, str], *, over: bool) -> dict[str, Any]:
        posted: dict[str, Any] = {
            "labels": with_labels,
            "annotations": annotations_of(alert, self._places),
            "startsAt": alert.opened_at.isoformat(),
        }
        if over:
            posted["endsAt"] = self._clock().isoformat()  # an event time long past would be taken for an old story
        if url := self._places.console(alert):
            posted["generatorURL"] = url
        return posted


@contextmanager
def _as_delivery_errors() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise DeliveryError(f"Alertmanager answered {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise DeliveryError(f"Alertmanager can't be reached: {type(error).__name__}") from None


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


def annotations_of(alert: Alert, places: Places) -> dict[str, str]:
    """What people read."""
    found = {
        "summary": alert.title,
        "description": alert.explanation,
        "remedies": "\n".join(f"- {remedy}" for remedy in alert.remedies),
        "excess_usd": f"{alert.excess_usd:.2f}",
        "projected_usd_24h": f"{alert.projected_usd_24h:.2f}",
        "runbook_url": places.runbook(alert),
    }
    return {name: value for name, value in found.items() if value}
