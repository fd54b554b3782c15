"""An alert as people have it: a state machine. Pure: every time is given.

    opened -> firing -> acknowledged | snoozed | resolved | false_positive | expected

Detection opens, worsens, resolves and reopens; people acknowledge, snooze, resolve, mark and reopen; time ends a snooze
and escalates. Every step gives an `AlertChange`, also one that is refused, so that whoever asked can see why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schemas.oncall import OPEN_STATES, ActionKind, AlertAction, AlertChange, AlertState, ChangeKind, Via
from schemas.watch import Alert, Severity
from streams.core.alert.rules import LOUDNESS

DETECTION = "detection"
POLICY = "policy"
MARKS = {
    ActionKind.FALSE_POSITIVE: (AlertState.FALSE_POSITIVE, ChangeKind.MARKED_FALSE_POSITIVE),
    ActionKind.EXPECTED: (AlertState.EXPECTED, ChangeKind.MARKED_EXPECTED),
}
STEPS = {
    ActionKind.ACK: (AlertState.ACKNOWLEDGED, ChangeKind.ACKED),
    ActionKind.UNACK: (AlertState.FIRING, ChangeKind.UNACKED),
    ActionKind.SNOOZE: (AlertState.SNOOZED, ChangeKind.SNOOZED),
    ActionKind.RESOLVE: (AlertState.RESOLVED, ChangeKind.RESOLVED_BY_HAND),
    ActionKind.REOPEN: (AlertState.FIRING, ChangeKind.REOPENED),
    **MARKS,
}
FROM: dict[ActionKind, frozenset[AlertState]] = {
    ActionKind.ACK: frozenset({AlertState.FIRING, AlertState.SNOOZED}),
    ActionKind.UNACK: frozenset({AlertState.ACKNOWLEDGED}),
    ActionKind.SNOOZE: OPEN_STATES,
    ActionKind.RESOLVE: OPEN_STATES,
    ActionKind.REOPEN: frozenset(AlertState) - OPEN_STATES,
    ActionKind.FALSE_POSITIVE: frozenset(AlertState) - {AlertState.FALSE_POSITIVE},
    ActionKind.EXPECTED: frozenset(AlertState) - {AlertState.EXPECTED},
}
"""What may be asked for in which state."""


@dataclass(frozen=True, slots=True)
class Life:
    """Where one alert stands. `asks_since`: since when it waits for somebody; None while nobody needs to come."""

    alert_id: str
    state: AlertState
    severity: Severity
    number: int
    since: datetime
    is_going_on: bool  # as detection sees it
    asks_since: datetime | None
    until: datetime | None = None
    level: int = 0

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "alert_id": self.alert_id,
            "state": self.state.value,
            "severity": self.severity.value,
            "number": self.number,
            "since": self.since.isoformat(),
            "is_going_on": self.is_going_on,
            "asks_since": self.asks_since and self.asks_since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "level": self.level,
        }

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> Life:
        """What `snapshot` wrote."""
        times = {name: saved[name] and datetime.fromisoformat(saved[name]) for name in ("since", "asks_since", "until")}
        return cls(**{**saved, **times, "state": AlertState(saved["state"]), "severity": Severity(saved["severity"])})


Step = tuple[Life, AlertChange]


def allowed(state: AlertState, is_going_on: bool = True) -> frozenset[ActionKind]:
    """What may be asked for in this state: the buttons to show."""
    found = {kind for kind, states in FROM.items() if state in states}
    return frozenset(found if is_going_on else found - {ActionKind.REOPEN})


def opened(alert: Alert, now: datetime) -> Step:
    """The beginning."""
    life = Life(alert.alert_id, AlertState.FIRING, alert.severity, 0, now, is_going_on=True, asks_since=now)
    return _step(life, ChangeKind.OPENED, now, who=DETECTION, via="detection", note=alert.title)


def detected(life: Life, alert: Alert, now: datetime) -> tuple[Life, list[AlertChange]]:
    """What detection says newly of an alert that is known."""
    going_on = alert.status == "firing"
    again, worse = going_on and not life.is_going_on, LOUDNESS.index(alert.severity) > LOUDNESS.index(life.severity)
    life = replace(life, is_going_on=going_on, severity=max(life.severity, alert.severity, key=LOUDNESS.index))
    if not going_on and life.state in OPEN_STATES:
        life = replace(life, state=AlertState.RESOLVED, asks_since=None, until=None)
        return _one(_step(life, ChangeKind.RESOLVED, now, who=DETECTION, via="detection"))
    if again and life.state is AlertState.RESOLVED:  # what was marked stays as it was marked: somebody has judged it
        life = replace(life, state=AlertState.FIRING, asks_since=now, level=0)
        return _one(_step(life, ChangeKind.REOPENED, now, who=DETECTION, via="detection"))
    if worse and life.state in OPEN_STATES:
        return _one(_step(life, ChangeKind.UPDATED, now, who=DETECTION, via="detection", note=alert.title))
    return life, []


def act(life: Life, action: AlertAction) -> Step:
    """What a person asks for; a `refused` change where it doesn't fit the state."""
    if action.what not in FROM:
        raise ValueError(f"action {action.what.value} is not about the state of an alert")
    if why := _why_not(life, action):
        return _by(life, action, ChangeKind.REFUSED, note=why)
    state, what = STEPS[action.what]
    asks = action.at if state is AlertState.FIRING else None
    level = 0 if state is AlertState.FIRING else life.level
    return _by(replace(life, state=state, asks_since=asks, until=action.until, level=level), action, what)


def expire(life: Life, now: datetime) -> tuple[Life, list[AlertChange]]:
    """End a snooze that is over. The change bears the time at which it was over, whoever looks how late."""
    if life.state is not AlertState.SNOOZED or life.until is None or life.until > now:
        return life, []
    over = life.until
    life = replace(life, state=AlertState.FIRING, asks_since=over, until=None, level=0)
    return _one(_step(life, ChangeKind.SNOOZE_EXPIRED, over, who=POLICY, via="policy"))


def escalate(life: Life, at: datetime, to: str) -> Step:
    """Nobody has come: one level up. `to` names whom it goes to now."""
    if life.state is not AlertState.FIRING:
        raise ValueError(f"alert {life.alert_id}: it is {life.state.value}, and only what fires is escalated")
    return _step(replace(life, level=life.level + 1), ChangeKind.ESCALATED, at, who=POLICY, via="policy", note=to)


def _why_not(life: Life, action: AlertAction) -> str:
    if life.state not in FROM[action.what]:
        return f"{action.what.value} does not go with an alert that is {life.state.value.replace('_', ' ')}"
    if action.what is ActionKind.REOPEN and not life.is_going_on:
        return "spend is back to normal: there is nothing to reopen"
    return ""


def _one(step: Step) -> tuple[Life, list[AlertChange]]:
    life, change = step
    return life, [change]


def _by(life: Life, action: AlertAction, what: ChangeKind, note: str = "") -> Step:
    return _step(
        life, what, action.at, who=action.who, via=action.via, note=note or action.note, action_id=action.action_id
    )


def _step(
    life: Life, what: ChangeKind, at: datetime, *, who: str, via: Via, note: str = "", action_id: str = ""
) -> Step:
    number = life.number + 1
    since = life.since if what in {ChangeKind.REFUSED, ChangeKind.UPDATED, ChangeKind.ESCALATED} else at
    change = AlertChange(
        alert_id=life.alert_id,
        number=number,
        what=what,
        state=life.state,
        at=at,
        who=who,
        via=via,
        note=note,
        until=life.until,
        level=life.level,
        severity=life.severity,
        action_id=action_id,
    )
    return replace(life, number=number, since=since), change
