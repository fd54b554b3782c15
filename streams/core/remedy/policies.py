"""Which remedies a policy proposes for an alert, and whether they may run by themselves."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from schemas.watch import Alert, FindingKind, Severity
from streams.core.alert.routes import facts
from streams.core.alert.words import usd

Mode = Literal["off", "dry_run", "approve", "automatic"]


@dataclass(frozen=True, slots=True)
class Policy:
    """See settings_remedies.Policy. `parameters`: what the action needs beside its target, as text."""

    name: str
    action: str
    target: str
    mode: Mode
    kinds: frozenset[FindingKind]
    causes: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    teams: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    automatic_environments: frozenset[str] = frozenset()
    max_per_hour: int = 1
    max_usd_per_hour: Decimal = Decimal(50)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def target_for(self, alert: Alert) -> str:
        """What it would act on; empty where this policy has nothing to say to this alert."""
        known = facts(alert)
        fits = (
            self.mode != "off"
            and alert.kind in self.kinds
            and (not self.causes or alert.cause in self.causes)
            and (not self.severities or alert.severity in self.severities)
            and (not self.teams or known.get("team", "") in self.teams)
            and (not self.environments or known.get("environment", "") in self.environments)
        )
        names = [name for _, name, _, _ in string.Formatter().parse(self.target) if name is not None]
        return self.target.format_map(known) if fits and all(known.get(name) for name in names) else ""

    def held_by(self, alert: Alert, runs_within_the_hour: int) -> str:
        """Why it may not run by itself; empty when it may."""
        environment = facts(alert).get("environment", "")
        if environment not in self.automatic_environments:
            return f"environment {environment or '(none)'} is not one where it runs by itself"
        if alert.observed_usd_per_hour > self.max_usd_per_hour:
            return f"{usd(alert.observed_usd_per_hour)}/h is above {usd(self.max_usd_per_hour)}/h: somebody should look"
        if runs_within_the_hour >= self.max_per_hour:
            return f"it ran {runs_within_the_hour} times within the hour, and may {self.max_per_hour}"
        return ""


def remedy_id(alert_id: str, policy: str) -> str:
    """The same for the same alert and policy: a policy acts on an alert once."""
    return "re-" + hashlib.sha256(f"{alert_id}\0{policy}".encode()).hexdigest()[:20]
