"""What can be looked at: for each page what it reads and which fragments of it are live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from schemas.oncall import OPEN_STATES, AlertState
from streams.api.reading import AlertReader, Filter
from streams.console.charts import Chart, Sample, draw
from streams.console.incident import Incident, read_incident
from streams.console.latest import Latest, Seen
from streams.console.queries import Queries, Row, ask
from streams.console.spend import DIMENSIONS, Live, Usual, read_live, read_usual

TABS: dict[str, tuple[AlertState, ...]] = {
    "open": (AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.SNOOZED),
    "firing": (AlertState.FIRING,),
    "acknowledged": (AlertState.ACKNOWLEDGED,),
    "snoozed": (AlertState.SNOOZED,),
    "closed": tuple(sorted(frozenset(AlertState) - OPEN_STATES)),
    "all": (),
}
TAB_NAMES = {"open": "Open", "firing": "Firing", "acknowledged": "Acknowledged", "snoozed": "Snoozed",
             "closed": "Closed", "all": "All"}  # fmt: skip
USUAL_SECONDS = 60.0
MOST_LISTED = 200
URGENCY = {"critical": 0, "warning": 1, "info": 2}
STANDING = {"firing": 0, "acknowledged": 1, "snoozed": 2}


@dataclass(frozen=True, slots=True)
class Inbox:
    """The list of alerts of a tab, what needs somebody first, and how many stand where."""

    tab: str
    alerts: list[Row]
    counts: Mapping[str, int]
    at: datetime

    @property
    def firing(self) -> int:
        return self.counts.get("firing", 0)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def in_tab(self, tab: str) -> int:
        """How many alerts a tab holds."""
        states = {state.value for state in TABS[tab]}
        return sum(count for state, count in self.counts.items() if not states or state in states)


@dataclass(frozen=True, slots=True)
class View:
    """A page as it stands. `parts` are its live fragments, by the id of their element; `seen` is the main thing."""

    name: str
    title: str
    parts: Mapping[str, str]
    context: Mapping[str, Any]
    seen: Seen[Any]
    is_missing: bool = False


class Views:
    """Reads what pages show. One read serves all who look."""

    def __init__(self, store: Queries, latest: Latest, poll_seconds: float) -> None:
        self._store = store
        self.latest = latest
        self._fresh = poll_seconds * 0.9  # a page that asks every `poll_seconds` gets something new each time

    async def at(self, url: str) -> View | None:
        """The page at a path with its query; None when there is none."""
        path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
        if path == "/":
            return await self.live()
        if path == "/alerts":
            return await self.inbox(query.get("show", "open"))
        prefix, _, alert_id = path.rpartition("/")
        if prefix == "/alerts" and 0 < len(alert_id) <= 128:
            return await self.incident(alert_id)
        return None

    async def live(self) -> View:
        """The page of live spend."""
        usual: Seen[Usual] = await self.latest.get("usual", self._usual, USUAL_SECONDS)
        kept = usual.value or Usual({}, {name: {} for name in DIMENSIONS}, by_days=False)
        seen: Seen[Live] = await self.latest.get("live", lambda now: read_live(self._store, now, kept), self._fresh)
        inbox = await self._inbox("open")
        chart = live_chart(seen.value) if seen.value else None
        parts = {"needs-you": "live_alerts.html", "live-now": "live_now.html", "live-by": "live_by.html"}
        return View("live", "Live spend", parts, {"live": seen.value, "inbox": inbox.value, "chart": chart}, seen)

    async def inbox(self, tab: str) -> View:
        """The inbox; an unknown tab is the open alerts."""
        seen = await self._inbox(tab if tab in TABS else "open")
        context = {"inbox": seen.value, "tabs": TAB_NAMES, "tab": tab if tab in TABS else "open"}
        return View("inbox", "Alerts", {"inbox": "inbox_list.html"}, context, seen)

    async def incident(self, alert_id: str) -> View:
        """An alert's page."""
        seen: Seen[Incident | None] = await self.latest.get(
            ("alert", alert_id), lambda now: read_incident(self._store, alert_id, now), self._fresh
        )
        inbox = await self._inbox("open")
        found = seen.value
        parts = {"alert-head": "alert_head.html", "alert-actions": "alert_actions.html",
                 "alert-chart": "alert_chart.html", "alert-why": "alert_why.html",
                 "alert-timeline": "alert_timeline.html"}  # fmt: skip
        context = {"incident": found, "inbox": inbox.value, "chart": incident_chart(found) if found else None}
        title = found.alert["title"] if found else "Alert"
        return View("alert", title, parts, context, seen, is_missing=found is None and seen.at is not None)

    def forget(self, alert_id: str) -> None:
        """Something was done about an alert: the next look reads anew."""
        self.latest.expire(("alert", alert_id), *(("inbox", tab) for tab in TABS))

    async def _inbox(self, tab: str) -> Seen[Inbox]:
        return await self.latest.get(("inbox", tab), lambda now: read_inbox(self._store, tab, now), self._fresh)

    def _usual(self, now: datetime) -> Usual:
        return read_usual(self._store, now)


def read_inbox(store: Queries, tab: str, now: datetime) -> Inbox:
    """The alerts of a tab: what nobody has taken first, the worse before the less bad, the newer before the older."""
    rows = AlertReader(store).alerts(Filter(states=TABS[tab], limit=MOST_LISTED))
    rows.sort(key=lambda row: row["detected_at"], reverse=True)
    if tab == "open":
        rows.sort(key=lambda row: (STANDING.get(row["state"], 3), URGENCY.get(row["severity"], 3)))
    counts = {row["state"]: row["alerts"] for row in ask(store, "counts")}
    return Inbox(tab, rows, counts, now)


def live_chart(live: Live) -> Chart | None:
    """The last hour by the minute."""
    samples = [
        Sample(minute.at, minute.usd, (minute.band[0], minute.band[2]) if minute.band else None)
        for minute in live.minutes
    ]
    return draw(samples, timedelta(minutes=1), expected=live.usual)


def incident_chart(incident: Incident) -> Chart | None:
    """The series of an alert around it."""
    alert = incident.alert
    marks = [("began", "began", alert["opened_at"]), ("told", "told", alert["detected_at"])]
    if alert["resolved_at"]:
        marks.append(("ended", "ended", alert["resolved_at"]))
    samples = [Sample(point.at, point.usd, point.band) for point in incident.points]
    return draw(samples, timedelta(seconds=incident.step), expected=incident.expected, marks=marks)
