"""Notices as a phone shows them: a short title first, then dollars, who, why, what to do, and where to click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from schemas.oncall import ActionKind, AlertState
from schemas.watch import Alert
from streams.core.alert import links
from streams.core.alert.links import Link
from streams.core.alert.notices import Notice, Why
from streams.core.alert.rules import LOUDNESS
from streams.core.alert.words import usd

Style = Literal["full", "short"]
SNOOZE_MINUTES = 60
MOST_LISTED = 10  # alerts of a group that are named; the others are counted
CLOSED = {
    AlertState.FALSE_POSITIVE: "FALSE ALARM",
    AlertState.EXPECTED: "EXPECTED",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where messages point to. Each is left out where it is empty; links need `secret` and `public_url`."""

    console_url: str = ""
    runbook_url: str = ""
    public_url: str = ""
    secret: str = ""
    link_life: timedelta = timedelta(days=1)

    def console(self, alert: Alert) -> str:
        """The alert's page."""
        return f"{self.console_url.rstrip('/')}/alerts/{quote(alert.alert_id)}" if self.console_url else ""

    def runbook(self, alert: Alert) -> str:
        """What to do about its kind, at length."""
        return f"{self.runbook_url.rstrip('/')}/{alert.kind.value}.md" if self.runbook_url else ""

    def click(
        self, alert: Alert, what: ActionKind, to: str, now: datetime, *, minutes: int = 0, remedy_id: str = ""
    ) -> str:
        """A signed link that does one thing."""
        if not (self.secret and self.public_url):
            return ""
        link = Link(alert.alert_id, what, to, now + self.link_life, minutes, remedy_id)
        return f"{self.public_url.rstrip('/')}/links/{links.sign(self.secret, link)}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `title` alone says what matters."""

    title: str
    body: str


def message(notice: Notice, to: str, places: Places, style: Style = "full") -> Message:
    """A notice for one receiver."""
    if len(notice.alerts) > 1:
        return Message(_group_title(notice), "\n".join(_group_lines(notice, places)))
    lines = _short if style == "short" else _full
    return Message(title(notice), "\n".join(lines(notice, to, places)).strip())


def title(notice: Notice) -> str:
    """The line that a lock screen shows."""
    return f"{_word(notice)}: {notice.alert.title}"


def _word(notice: Notice) -> str:
    severity = notice.alert.severity.value.upper()
    if notice.why is Why.RESOLVED:
        return CLOSED.get(notice.state, "RESOLVED")
    words = {Why.WORSE: f"NOW {severity}", Why.AGAIN: f"STILL {severity}", Why.ESCALATED: f"UNANSWERED {severity}"}
    return words.get(notice.why, severity)


def _full(notice: Notice, to: str, places: Places) -> Iterator[str]:
    alert = notice.alert
    yield alert.explanation
    if notice.why is Why.RESOLVED:
        yield _end(notice)
    else:
        if notice.why is Why.ESCALATED:
            yield f"Nobody has acknowledged it yet, so it comes to you (level {notice.level})."
        if alert.remedies:
            yield from ("", "What to do:", *(f"- {remedy}" for remedy in alert.remedies))
        yield from ("", f"So far {usd(alert.excess_usd)}; if it goes on {usd(alert.projected_usd_24h)} in 24 hours.")
    yield from _where(notice, to, places)


def _short(notice: Notice, to: str, places: Places) -> Iterator[str]:
    alert = notice.alert
    if notice.why is Why.RESOLVED:
        yield _end(notice)
    else:
        yield f"{usd(alert.excess_usd)} so far, {usd(alert.projected_usd_24h)} in 24 h."
        yield from alert.remedies[:1]
    yield places.click(alert, ActionKind.ACK, to, notice.at) if notice.why is not Why.RESOLVED else ""
    yield places.console(alert) or alert.alert_id


def _end(notice: Notice) -> str:
    alert = notice.alert
    came_to = f"came to {usd(alert.excess_usd)} {'less' if alert.excess_usd < 0 else 'more'} than expected."
    if notice.by:
        said = {AlertState.FALSE_POSITIVE: "a false alarm", AlertState.EXPECTED: "expected"}.get(
            notice.state, "resolved"
        )
        return f"{notice.by} says it is {said}. So far it {came_to}"
    at = f" at {alert.resolved_at:%H:%M} UTC" if alert.resolved_at else ""
    return f"It ended{at} and {came_to}"


def _where(notice: Notice, to: str, places: Places) -> Iterator[str]:
    alert, click = notice.alert, places.click
    if notice.why is not Why.RESOLVED:
        for remedy_id, words in notice.offers:
            url = click(alert, ActionKind.APPROVE_REMEDY, to, notice.at, remedy_id=remedy_id)
            yield f"Approve to {words}: {url or remedy_id}"
        found: tuple[tuple[str, Callable[[], str]], ...] = (
            ("Acknowledge", lambda: click(alert, ActionKind.ACK, to, notice.at)),
            ("Snooze 1 h", lambda: click(alert, ActionKind.SNOOZE, to, notice.at, minutes=SNOOZE_MINUTES)),
            ("Runbook", lambda: places.runbook(alert)),
        )
        yield from (f"{name}: {url}" for name, make in found if (url := make()))
    yield places.console(alert) or alert.alert_id


def _group_title(notice: Notice) -> str:
    if notice.why is Why.RESOLVED:
        return f"RESOLVED: {len(notice.alerts)} alerts"
    loudest = max((alert.severity for alert in notice.alerts), key=LOUDNESS.index)
    total = usd(sum((alert.projected_usd_24h for alert in notice.alerts), start=notice.alert.projected_usd_24h * 0))
    return f"{loudest.value.upper()}: {len(notice.alerts)} alerts, {total} in 24 hours if it goes on"


def _group_lines(notice: Notice, places: Places) -> Iterator[str]:
    loud = sorted(notice.alerts, key=lambda alert: (-LOUDNESS.index(alert.severity), -abs(alert.projected_usd_24h)))
    for alert in loud[:MOST_LISTED]:
        where = places.console(alert) or alert.alert_id
        yield f"- {alert.title}\n  {where}"
    if len(loud) > MOST_LISTED:
        yield f"and {len(loud) - MOST_LISTED} more"
