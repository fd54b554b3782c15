"""A case: an alert as detection says it, where people have brought it, and who was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.watch import Alert
from streams.core.alert.notices import Why
from streams.core.alert.state import Life


@dataclass(slots=True)
class Case:
    """`told`: who has heard of it since it last began. `held`: who will, after their quiet hours. `said`: how often."""

    life: Life
    alert: Alert
    told: dict[str, None] = field(default_factory=dict)
    held: dict[str, Why] = field(default_factory=dict)
    said: int = 0
    said_at: datetime | None = None

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "life": self.life.snapshot(),
            "alert": self.alert.model_dump(mode="json"),
            "told": list(self.told),
            "held": {name: why.value for name, why in self.held.items()},
            "said": self.said,
            "said_at": self.said_at and self.said_at.isoformat(),
        }

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> Case:
        """What `snapshot` wrote."""
        return cls(
            Life.restored(saved["life"]),
            Alert.model_validate(saved["alert"]),
            told=dict.fromkeys(saved["told"]),
            held={name: Why(why) for name, why in saved["held"].items()},
            said=saved["said"],
            said_at=datetime.fromisoformat(saved["said_at"]) if saved["said_at"] else None,
        )


@dataclass(slots=True)
class Waiting:
    """Alerts that wait a moment for others of their group, to be one message."""

    why: Why
    to: tuple[str, ...]
    due: datetime
    alerts: list[str]

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {"why": self.why.value, "to": list(self.to), "due": self.due.isoformat(), "alerts": list(self.alerts)}

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> Waiting:
        """What `snapshot` wrote."""
        return cls(Why(saved["why"]), tuple(saved["to"]), datetime.fromisoformat(saved["due"]), list(saved["alerts"]))
