"""Who is told of an alert, again after how long, and who comes next when nobody answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from schemas.watch import Alert, FindingKind, Severity
from streams.core.hours import Hours

MOST_OF_IT = 0.5  # of the excess: a driver that is so much of it speaks for the alert


@dataclass(frozen=True, slots=True)
class Level:
    """Whom it goes to when nobody has acknowledged it for so long."""

    after: timedelta
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go where. An empty condition holds for all; `goes_on` lets later routes add receivers."""

    receivers: tuple[str, ...]
    severities: frozenset[Severity] = frozenset()
    kinds: frozenset[FindingKind] = frozenset()
    teams: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    hours: Hours | None = None
    goes_on: bool = False
    renotify: timedelta | None = None  # None: as the deployment has it
    levels: tuple[Level, ...] | None = None
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = timedelta(0)  # what comes within it is one message

    def takes(self, alert: Alert, now: datetime) -> bool:
        """Whether this alert goes this way, now."""
        known = facts(alert)
        return (
            (not self.severities or alert.severity in self.severities)
            and (not self.kinds or alert.kind in self.kinds)
            and (not self.teams or known.get("team", "") in self.teams)
            and (not self.environments or known.get("environment", "") in self.environments)
            and (self.hours is None or self.hours.covers(now))
        )


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which what is not critical waits (`hold`), or goes to somebody who sleeps on (`instead`)."""

    hours: Hours
    receivers: frozenset[str] = frozenset()  # whose; empty: everybody's
    mode: Literal["hold", "instead"] = "hold"
    instead: tuple[str, ...] = ()

    def is_for(self, receiver: str, alert: Alert, now: datetime) -> bool:
        """Whether this receiver is not to be disturbed by this alert, now."""
        mine = not self.receivers or receiver in self.receivers
        return mine and alert.severity is not Severity.CRITICAL and self.hours.covers(now)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the routes come to for one alert at one moment."""

    receivers: tuple[str, ...]
    renotify: timedelta
    levels: tuple[Level, ...]
    group: tuple[str, ...]  # alerts of the same group may be one message
    group_wait: timedelta


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of a deployment. `receivers` are all there are; `always` (log, Alertmanager) hear all by themselves.

    An alert that no route takes goes to everybody: better too many are told than nobody.
    """

    receivers: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    renotify: timedelta = timedelta(0)  # 0: once is enough
    levels: tuple[Level, ...] = ()
    always: frozenset[str] = frozenset()
    informed: frozenset[str] = field(default=frozenset())  # who also hears of acknowledgements: Alertmanager

    def plan(self, alert: Alert, now: datetime) -> Plan:
        """Who is told, and how it goes on."""
        taken: list[Route] = []
        for route in self.routes:
            if route.takes(alert, now):
                taken.append(route)
                if not route.goes_on:
                    break
        first = taken[0] if taken else Route(self.receivers)
        renotify = next((route.renotify for route in taken if route.renotify is not None), self.renotify)
        levels = next((route.levels for route in taken if route.levels is not None), self.levels)
        known = facts(alert)
        group = (str(self.routes.index(first)) if taken else "", *(known.get(name, "") for name in first.group_by))
        named = unique(name for route in taken or [first] for name in route.receivers)
        return Plan(named, renotify, levels, group, first.group_wait)

    def undisturbed(self, receivers: Iterable[str], alert: Alert, now: datetime) -> tuple[list[str], list[str]]:
        """Of the receivers, who is told now (with who stands in for the quiet ones), and who is told later."""
        told: list[str] = []
        held: list[str] = []
        for name in receivers:
            quiet = next((quiet for quiet in self.quiet if quiet.is_for(name, alert, now)), None)
            if quiet is None:
                told.append(name)
            elif quiet.mode == "hold":
                held.append(name)
            else:
                told += quiet.instead
        return list(unique(told)), held


def facts(alert: Alert) -> dict[str, str]:
    """What is known of who it is: its series, and what the driver of most of it adds."""
    for driver in alert.drivers[:1]:
        if driver.share >= MOST_OF_IT:
            return {**driver.series, **alert.series}
    return dict(alert.series)


def unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
