"""A history for dashboards: days of usage through the replay's own core, landed as `land` does, and what people did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from replay.readers import Item
from schemas.oncall import AlertChange, RemedyChange, RemedyState
from schemas.records import Charge, DeadLetter
from schemas.topics import ALERT_CHANGES, ALERTS, DEAD_LETTERS, FINDINGS, REMEDIES
from schemas.watch import Alert
from streams.commands.replay import new_replay
from streams.core.alert.state import act, detected, opened
from streams.io.clickhouse import ClickHouseStore
from streams.settings import Settings
from tests.support.oncall import action, alert, landed
from tests.support.spending import land

END = datetime(2026, 11, 12, 12, 0, tzinfo=UTC)
DAYS, EVERY = 3, timedelta(minutes=5)
INCIDENT = timedelta(minutes=50)  # before the end


@dataclass(frozen=True)
class History:
    """What went in, to reckon with."""

    charges: Sequence[Charge]
    dead_letters: Sequence[DeadLetter]
    alerts: Sequence[Alert]

    def usd(self, since: timedelta = timedelta(days=DAYS), **wanted: object) -> float:
        """The sum of the charges that fit: `since` (before the end) and fields."""
        return float(
            sum((charge.effective_cost_usd or Decimal(0) for charge in self.fitting(since, **wanted)), Decimal(0))
        )

    def fitting(self, since: timedelta = timedelta(days=DAYS), **wanted: object) -> list[Charge]:
        """The charges of so long before the end, with these fields."""
        recent = [charge for charge in self.charges if charge.time >= END - since]
        return [c for c in recent if all(getattr(c, name) == value for name, value in wanted.items())]


def replayed_into(store: ClickHouseStore) -> History:
    """Fill an empty store."""
    made = Settings()
    windows = {"token_call_window_seconds": 300, "gpu_usage_window_seconds": 600}  # as its events come
    run = new_replay(made.model_copy(update={"roll": made.roll.model_copy(update=windows)}))
    charges: list[Charge] = []
    dead: list[DeadLetter] = []
    for fresh, refused in run.take(("history", Item(row, event=event)) for row, event in enumerate(_events())):
        charges += fresh
        dead += refused
    run.finish()
    land(store, charges)
    dead = [letter.model_copy(update={"received_at": END - timedelta(hours=1)}) for letter in dead]
    landed(store, DEAD_LETTERS.name, dead)
    landed(store, FINDINGS.name, list(run.findings.values()))
    alerts = [*run.alerts.values(), alert("k2"), alert("k3", resolved=True)]
    landed(store, ALERTS.name, alerts)
    changes, remedies = _answers(alerts)
    landed(store, ALERT_CHANGES.name, changes)
    landed(store, REMEDIES.name, remedies)
    store.insert("reprices", {name: [value] for name, value in _reprice().items()}, "reprice")
    return History(charges, dead, alerts)


def _events() -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    steps = int(timedelta(days=DAYS) / EVERY)
    for step in range(steps):
        at = END - EVERY * (steps - step) + timedelta(seconds=1)
        going_wrong = at >= END - INCIDENT
        for team, model, requests in (("search", "gpt-4o", 400 if going_wrong else 40), ("support", "gpt-4o-mini", 300),
                                      ("", "gpt-4o-mini", 20)):  # fmt: skip
            data = {"provider": "openai", "model": model, "requests": requests, "input_tokens": 1_000 * requests,
                    "output_tokens": 100 * requests, "cache_read_input_tokens": 400 * requests,
                    "principal": f"key-{team or 'nobody'}"}  # fmt: skip
            if team:
                data["tags"] = {"team": team, "project": f"{team}-main", "environment": "prod", "feature": "answers"}
            events.append(_event("token_call", f"{team}-{step}", at, data))
        if step % 2 == 0:
            data = {"provider": "aws", "accelerator": "nvidia-h100-80gb", "gpu_minutes": 80, "utilization": 0.6,
                    "cluster": "train-a", "tags": {"team": "research", "environment": "prod"}}  # fmt: skip
            events.append(_event("gpu_usage", f"gpu-{step}", at, data))
    newest = END - timedelta(minutes=30)
    unknown = {"provider": "acme", "model": "nobody-knows-1", "input_tokens": 5_000, "output_tokens": 50,
               "tags": {"team": "search"}}  # fmt: skip
    events.append(_event("token_call", "unpriced", newest, unknown))
    events.append(_event("token_call", "bad", newest, {"provider": "openai"}))
    bill = {"BilledCost": 12.5, "EffectiveCost": 12.5, "ListCost": 12.5, "ContractedCost": 12.5,
            "BillingCurrency": "USD",
            "ChargeCategory": "Usage", "ChargePeriodStart": (newest - timedelta(hours=1)).isoformat(),
            "ChargePeriodEnd": newest.isoformat(), "ServiceName": "Amazon EC2", "ServiceProviderName": "AWS",
            "SubAccountId": "acct-1", "Tags": {"team": "research"}}  # fmt: skip
    events.append(_event("line_item", "bill", newest, bill))
    return sorted(events, key=lambda event: str(event["time"]))


def _event(kind: str, name: str, at: datetime, data: dict[str, Any]) -> dict[str, object]:
    return {"specversion": "1.0", "id": name, "source": "/history", "type": f"spendstream.{kind}.v1",
            "time": at.isoformat(), "data": data}  # fmt: skip


def _answers(alerts: Sequence[Alert]) -> tuple[list[AlertChange], list[RemedyChange]]:
    """The first alert is acknowledged after 2 minutes, and a remedy is done; what is over was a false positive."""
    changes: list[AlertChange] = []
    for number, told in enumerate(alerts):
        life, change = opened(told, told.detected_at + timedelta(seconds=10))
        changes.append(change)
        if number == 0:
            asked = action("ack", alert_id=told.alert_id, at=change.at + timedelta(minutes=2))
            life, change = act(life, asked)
            changes.append(change)
        if told.status == "resolved":
            life, over = detected(life, told, told.updated_at)
            asked = action("false_positive", alert_id=told.alert_id, at=told.updated_at + timedelta(minutes=1))
            changes += [*over, act(life, asked)[1]]
    first = alerts[0]
    body = {"remedy_id": "r1", "alert_id": first.alert_id, "policy": "cap-runaway-keys", "action": "webhook",
            "target": "key-search", "at": first.detected_at + timedelta(minutes=5), "who": "ann",
            "via": "cli"}  # fmt: skip
    measured = {
        "rate_before_usd_per_hour": Decimal(20),
        "rate_after_usd_per_hour": Decimal(2),
        "avoided_usd": Decimal(9),
    }
    return changes, [
        RemedyChange.model_validate({**body, "number": 1, "state": RemedyState.DONE}),
        RemedyChange.model_validate({**body, **measured, "number": 2, "state": RemedyState.MEASURED}),
    ]


def _reprice() -> dict[str, object]:
    return {"reprice_id": "p1", "asked_by": "ann", "reason": "a discount was forgotten", "period_start": END,
            "period_end": END, "begun_at": END - timedelta(hours=1), "finished_at": END, "events": 10,
            "corrected": 1}  # fmt: skip
