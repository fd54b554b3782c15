"""What people do about alerts, and what became of it: actions, changes of state, remedies."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Contract, Money, Name, UtcTime
from schemas.watch import Severity

MOST_SNOOZE = timedelta(days=30)
Note = Annotated[str, Field(max_length=1_000)]
Via = Literal["api", "cli", "console", "detection", "link", "policy"]
"""How a change came about; `policy` is our own clock: an expiry, an escalation, an automatic remedy."""


class AlertState(StrEnum):
    """Where an alert stands for the people who answer it."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    FALSE_POSITIVE = "false_positive"
    EXPECTED = "expected"


OPEN_STATES = frozenset({AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.SNOOZED})


class ActionKind(StrEnum):
    """What a person may ask for."""

    ACK = "ack"
    UNACK = "unack"
    SNOOZE = "snooze"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    FALSE_POSITIVE = "false_positive"
    EXPECTED = "expected"
    APPROVE_REMEDY = "approve_remedy"
    UNDO_REMEDY = "undo_remedy"


class AlertAction(Contract):
    """Somebody asks for a change. It stands on `spend.findings`, so that it has a place among what detection says.

    Repeated with the same `action_id` it does nothing.
    """

    type: Literal["action"] = "action"
    action_id: Name
    alert_id: Name
    what: ActionKind
    who: Name
    via: Via
    at: UtcTime
    note: Note = ""
    until: UtcTime | None = None  # of a snooze
    remedy_id: str = ""  # of a remedy to approve or to undo

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.what is ActionKind.SNOOZE:
            if self.until is None or not self.at < self.until <= self.at + MOST_SNOOZE:
                raise ValueError(f"until must be after now and within {MOST_SNOOZE.days} days")
        elif self.until is not None:
            raise ValueError("until goes with snooze alone")
        if (self.what in {ActionKind.APPROVE_REMEDY, ActionKind.UNDO_REMEDY}) != bool(self.remedy_id):
            raise ValueError("remedy_id goes with approve_remedy and undo_remedy, and they need it")
        return self


class ChangeKind(StrEnum):
    """What happened to an alert."""

    OPENED = "opened"
    UPDATED = "updated"  # it became more severe
    ACKED = "acked"
    UNACKED = "unacked"
    SNOOZED = "snoozed"
    SNOOZE_EXPIRED = "snooze_expired"
    RESOLVED = "resolved"  # by detection: spend is back
    RESOLVED_BY_HAND = "resolved_by_hand"
    MARKED_FALSE_POSITIVE = "marked_false_positive"
    MARKED_EXPECTED = "marked_expected"
    REOPENED = "reopened"
    ESCALATED = "escalated"  # nobody acknowledged it in time
    REFUSED = "refused"  # an action that does not fit the state; `note` says why


class AlertChange(Contract):
    """One change of one alert, with where it stands after it. `at` is when it was asked for or fell due."""

    alert_id: str
    number: int  # 1, 2, 3, ...: the highest is the newest
    what: ChangeKind
    state: AlertState
    at: UtcTime
    who: str
    via: Via
    note: str = ""
    until: UtcTime | None = None  # of a snooze
    level: int = 0  # how often it was escalated since it last began to ask for somebody
    severity: Severity
    action_id: str = ""  # of the action that asked for it


class RemedyState(StrEnum):
    """Where an action against the cause stands."""

    PROPOSED = "proposed"  # waits for somebody to approve it
    DRY_RUN = "dry_run"  # what would have been done
    APPROVED = "approved"
    STARTED = "started"  # written down before anything is sent, so that a crash can't hide it
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    HELD = "held"  # a limit of its policy stands against it; it may still be approved
    MEASURED = "measured"  # done, and the dollars avoided are known
    REFUSED = "refused"  # what was asked for does not fit its state; `note` says why


class RemedyChange(Contract):
    """One change of one remedy: the audit. `remedy_id` is made of alert and policy, so that a repeat is the same."""

    remedy_id: str
    number: int
    alert_id: str
    policy: str
    action: str  # webhook, litellm_block_key, litellm_lower_budget, kubernetes_scale
    target: str  # the key, workload or address it acts on, never a secret
    state: RemedyState
    at: UtcTime
    who: str
    via: Via
    note: str = ""
    undo: dict[str, str] = Field(default_factory=dict)  # what it was before
    rate_before_usd_per_hour: Money | None = None
    rate_after_usd_per_hour: Money | None = None
    avoided_usd: Money | None = None
    action_id: str = ""
