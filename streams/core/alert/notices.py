"""What is said to whom, and why. A notice goes to each of its receivers once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.oncall import AlertState
from schemas.watch import Alert


class Why(StrEnum):
    """The occasion."""

    FIRING = "firing"
    WORSE = "worse"
    AGAIN = "again"  # it still fires, and nobody has acknowledged it
    ESCALATED = "escalated"
    RESOLVED = "resolved"  # or closed by somebody: see the notice's state
    ACKED = "acked"  # for Alertmanager alone, from here on
    SNOOZED = "snoozed"
    UNACKED = "unacked"


ENDS = frozenset({Why.RESOLVED})
BEGINS = frozenset({Why.FIRING, Why.WORSE, Why.AGAIN, Why.ESCALATED})


@dataclass(frozen=True, slots=True)
class Notice:
    """`alerts` are more than one where they are grouped. `by`: who closed it, or snoozed it until `until`."""

    notice_id: str
    why: Why
    to: tuple[str, ...]
    alerts: tuple[Alert, ...]
    state: AlertState
    at: datetime
    by: str = ""
    until: datetime | None = None
    level: int = 0
    offers: tuple[tuple[str, str], ...] = ()  # remedies that wait for approval: id, and what it would do

    @property
    def alert(self) -> Alert:
        """The first of them, which is the only one unless they are grouped."""
        return self.alerts[0]

    def refreshed(self, newest: Alert) -> Notice:
        """The same with an alert as it stands now."""
        if newest.alert_id not in {alert.alert_id for alert in self.alerts} or self.why in ENDS:
            return self
        alerts = tuple(newest if alert.alert_id == newest.alert_id else alert for alert in self.alerts)
        return replace(self, alerts=alerts)

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "notice_id": self.notice_id,
            "why": self.why.value,
            "to": list(self.to),
            "alerts": [alert.model_dump(mode="json") for alert in self.alerts],
            "state": self.state.value,
            "at": self.at.isoformat(),
            "by": self.by,
            "until": self.until and self.until.isoformat(),
            "level": self.level,
            "offers": [list(offer) for offer in self.offers],
        }

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> Notice:
        """What `snapshot` wrote."""
        return cls(
            notice_id=saved["notice_id"],
            why=Why(saved["why"]),
            to=tuple(saved["to"]),
            alerts=tuple(Alert.model_validate(alert) for alert in saved["alerts"]),
            state=AlertState(saved["state"]),
            at=datetime.fromisoformat(saved["at"]),
            by=saved["by"],
            until=datetime.fromisoformat(saved["until"]) if saved["until"] else None,
            level=saved["level"],
            offers=tuple((name, words) for name, words in saved["offers"]),
        )
