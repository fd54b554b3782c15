"""The desk on call: takes what detection and people say, and says what changes and who is told. Pure: time is given.

Everything that time brings (a snooze that ends, an escalation, a reminder, the end of quiet hours, a group that has
waited long enough) comes out of `tick`, and out of `act` before the action: what fell due before it came before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from schemas.oncall import OPEN_STATES, AlertAction, AlertChange, AlertState, ChangeKind
from schemas.watch import Alert, Severity
from streams.core.alert import state
from streams.core.alert.cases import Case, Waiting
from streams.core.alert.notices import BEGINS, Notice, Why
from streams.core.alert.routes import Routing, unique

REMEMBERED = 2_000  # cases that are over; an action on an older one is refused
ACTIONS_REMEMBERED = 5_000
OCCASIONS = {
    ChangeKind.OPENED: Why.FIRING,
    ChangeKind.REOPENED: Why.FIRING,
    ChangeKind.SNOOZE_EXPIRED: Why.FIRING,
    ChangeKind.UPDATED: Why.WORSE,
    ChangeKind.ACKED: Why.ACKED,
    ChangeKind.SNOOZED: Why.SNOOZED,
    ChangeKind.UNACKED: Why.UNACKED,
    ChangeKind.RESOLVED: Why.RESOLVED,
    ChangeKind.RESOLVED_BY_HAND: Why.RESOLVED,
    ChangeKind.MARKED_FALSE_POSITIVE: Why.RESOLVED,
    ChangeKind.MARKED_EXPECTED: Why.RESOLVED,
}
FEEDBACK = frozenset({ChangeKind.MARKED_FALSE_POSITIVE, ChangeKind.MARKED_EXPECTED})


@dataclass(slots=True)
class Told:
    """What came of it. `feedback`: what detection is to learn, each with the alert that it is about."""

    changes: list[AlertChange] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    feedback: list[tuple[Alert, AlertChange]] = field(default_factory=list)


class Desk:
    """All alerts of a partition, as people have them."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._cases: dict[str, Case] = {}
        self._groups: dict[tuple[str, ...], Waiting] = {}
        self._done: dict[str, None] = {}  # ids of actions that were taken

    def detected(self, alert: Alert, now: datetime) -> Told:
        """Take an alert's newest revision."""
        told, case = Told(), self._cases.get(alert.alert_id)
        if case is None:
            life, change = state.opened(alert, now)
            case = self._cases[alert.alert_id] = Case(life, alert)
            self._changed(told, case, [change], now)
            if alert.status == "firing":
                return told
        elif alert.revision < case.alert.revision:
            return told
        case.alert = alert
        case.life, changes = state.detected(case.life, alert, now)
        self._changed(told, case, changes, now)
        self._forget()
        return told

    def act(self, action: AlertAction, now: datetime) -> Told:
        """Take what somebody asks for. Repeated it does nothing."""
        told = Told()
        if action.action_id in self._done or action.what not in state.FROM:
            return told
        self._done[action.action_id] = None
        case = self._cases.get(action.alert_id)
        if case is None:
            told.changes.append(_unknown(action))
            return told
        self._due(told, case, min(now, action.at))
        case.life, change = state.act(case.life, action)
        self._changed(told, case, [change], now)
        if change.what in FEEDBACK:
            told.feedback.append((case.alert, change))
        self._forget()
        return told

    def tick(self, now: datetime) -> Told:
        """What time brings."""
        told = Told()
        for case in list(self._cases.values()):
            self._due(told, case, now)
            self._release(told, case, now)
        for key, group in list(self._groups.items()):
            if group.due <= now:
                del self._groups[key]
                self._send(told, group.why, group.to, [self._cases[name] for name in group.alerts], now)
        return told

    def case(self, alert_id: str) -> Case | None:
        """An alert as it stands, None where it is not known (any more)."""
        return self._cases.get(alert_id)

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cases": [case.snapshot() for case in self._cases.values()],
            "groups": [[list(key), group.snapshot()] for key, group in self._groups.items()],
            "done": list(self._done),
        }

    def restore(self, saved: dict[str, Any]) -> Self:
        """Go on from what `snapshot` wrote."""
        cases = [Case.restored(body) for body in saved["cases"]]
        self._cases = {case.alert.alert_id: case for case in cases}
        self._groups = {tuple(key): Waiting.restored(body) for key, body in saved["groups"]}
        self._done = dict.fromkeys(saved["done"])
        return self

    def adopt(self, alerts: Iterable[Alert], now: datetime) -> list[AlertChange]:
        """Take alerts that fire since before this desk was there, without telling anybody again."""
        changes = []
        for alert in alerts:
            life, change = state.opened(alert, now)
            told = dict.fromkeys((*self._routing.plan(alert, now).receivers, *self._routing.always))
            self._cases[alert.alert_id] = Case(life, alert, told=told, said_at=now)
            changes.append(change)
        return changes

    # What follows from a change.

    def _changed(self, told: Told, case: Case, changes: Iterable[AlertChange], now: datetime) -> None:
        for change in changes:
            told.changes.append(change)
            why = OCCASIONS.get(change.what)
            if why in {Why.FIRING, Why.WORSE}:
                if change.state is not AlertState.SNOOZED:
                    plan = self._routing.plan(case.alert, now)
                    self._say(told, case, why, (*plan.receivers, *self._routing.always), now, change)
            elif why is Why.RESOLVED:
                self._close(told, case, now, change)
            elif why is not None:
                self._send(told, why, tuple(self._routing.informed), [case], now, change)

    def _close(self, told: Told, case: Case, now: datetime, change: AlertChange) -> None:
        """Say the end to everybody who was told of the beginning; who was to be told of it needn't be any more."""
        case.held = {name: why for name, why in case.held.items() if why is Why.RESOLVED}
        to = tuple(case.told)
        for key, group in list(self._groups.items()):
            if group.why in BEGINS and case.alert.alert_id in group.alerts:
                group.alerts.remove(case.alert.alert_id)
                if not group.alerts:
                    del self._groups[key]
        self._say(told, case, Why.RESOLVED, to, now, change)
        case.told = {}

    def _due(self, told: Told, case: Case, now: datetime) -> None:
        """A snooze that ends, escalations, a reminder: in the order of their times."""
        case.life, changes = state.expire(case.life, now)
        self._changed(told, case, changes, now)
        life = case.life
        if life.state is not AlertState.FIRING or life.asks_since is None:
            return
        plan = self._routing.plan(case.alert, now)
        while case.life.level < len(plan.levels):
            level = plan.levels[case.life.level]
            if life.asks_since + level.after > now:
                break
            case.life, change = state.escalate(case.life, life.asks_since + level.after, ", ".join(level.receivers))
            told.changes.append(change)
            self._say(told, case, Why.ESCALATED, level.receivers, now, change)
        if plan.renotify and case.said_at is not None and case.said_at + plan.renotify <= now:
            to = tuple(name for name in case.told if name not in self._routing.always)
            self._say(told, case, Why.AGAIN, to, now)

    def _release(self, told: Told, case: Case, now: datetime) -> None:
        """Tell those whose quiet hours are over."""
        if not case.held:
            return
        ready, _ = self._routing.undisturbed(case.held, case.alert, now)
        for name in [name for name in case.held if name in ready]:
            why = case.held.pop(name)
            if why is Why.RESOLVED or case.life.state is AlertState.FIRING:
                self._send(told, why, (name,), [case], now)

    # Saying it.

    def _say(
        self, told: Told, case: Case, why: Why, to: tuple[str, ...], now: datetime, change: AlertChange | None = None
    ) -> None:
        """Tell those who may be disturbed now, at once or with their group; the others later."""
        if not to:
            return
        always = tuple(name for name in to if name in self._routing.always)
        people = [name for name in to if name not in self._routing.always]
        ready, held = self._routing.undisturbed(people, case.alert, now)
        if why is Why.AGAIN:
            held = []  # a reminder can be left out
        for name in held:
            case.held.setdefault(name, why)
        plan = self._routing.plan(case.alert, now)
        if plan.group_wait and ready and why in {Why.FIRING, Why.RESOLVED}:
            self._wait(case, why, tuple(ready), plan.group, now + plan.group_wait)
            ready = []
        self._send(told, why, unique((*ready, *always)), [case], now, change)
        if why in BEGINS:
            case.said_at = now

    def _wait(self, case: Case, why: Why, to: tuple[str, ...], group: tuple[str, ...], due: datetime) -> None:
        waiting = self._groups.setdefault((why.value, *to, "", *group), Waiting(why, to, due, []))
        if case.alert.alert_id not in waiting.alerts:
            waiting.alerts.append(case.alert.alert_id)

    def _send(
        self,
        told: Told,
        why: Why,
        to: tuple[str, ...],
        cases: list[Case],
        now: datetime,
        change: AlertChange | None = None,
    ) -> None:
        if not to or not cases:
            return
        first = cases[0]
        for case in cases:
            case.said += 1
            if why in BEGINS:
                case.told.update(dict.fromkeys(to))
        told.notices.append(
            Notice(
                notice_id=f"{first.alert.alert_id}:{why.value}:{first.said}",
                why=why,
                to=to,
                alerts=tuple(case.alert for case in cases),
                state=first.life.state,
                at=now,
                by=change.who if change is not None and change.via not in {"detection", "policy"} else "",
                until=first.life.until,
                level=first.life.level,
            )
        )

    def _forget(self) -> None:
        over = [
            name
            for name, case in self._cases.items()
            if case.life.state not in OPEN_STATES and not case.life.is_going_on and not case.held
        ]
        waiting = {name for group in self._groups.values() for name in group.alerts}
        for name in over[: max(0, len(over) - REMEMBERED)]:
            if name not in waiting:
                del self._cases[name]
        while len(self._done) > ACTIONS_REMEMBERED:
            del self._done[next(iter(self._done))]


def _unknown(action: AlertAction) -> AlertChange:
    """An action on an alert that was never there, or is over for so long that it is forgotten."""
    return AlertChange(
        alert_id=action.alert_id, number=0, what=ChangeKind.REFUSED, state=AlertState.RESOLVED, at=action.at,
        who=action.who, via=action.via, note=f"{action.what.value}: there is no such alert, or it is long over",
        severity=Severity.INFO, action_id=action.action_id,
    )  # fmt: skip
