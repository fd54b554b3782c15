"""What messages look like on a phone, by occasion and style."""

from __future__ import annotations

from typing import Any

from schemas.oncall import ActionKind, AlertState
from schemas.watch import Severity
from streams.core.alert import links
from streams.core.alert.messages import Places, message
from streams.core.alert.notices import Notice, Why
from tests.support.findings import at
from tests.support.oncall import alert

SIGNED_WITH = "a secret of more than twenty characters"
PLACES = Places("https://c.example/", "https://r.example/runbooks", "https://p.example", SIGNED_WITH)


def notice(why: Why = Why.FIRING, *alerts: Any, **more: Any) -> Notice:
    body: dict[str, Any] = {"notice_id": "n", "why": why, "to": ("chat",), "alerts": alerts or (alert(),),
                            "state": AlertState.FIRING, "at": at(2)}  # fmt: skip
    return Notice(**body | more)


def test_the_title_says_the_occasion_first() -> None:
    titles = {why: message(notice(why), "chat", Places()).title.partition(":")[0] for why in Why}
    assert titles[Why.FIRING] == "WARNING"
    assert titles[Why.WORSE] == "NOW WARNING"
    assert titles[Why.AGAIN] == "STILL WARNING"
    assert titles[Why.ESCALATED] == "UNANSWERED WARNING"
    assert titles[Why.RESOLVED] == "RESOLVED"


def test_links_and_runbook_stand_at_the_end() -> None:
    lines = message(notice(), "chat", PLACES).body.splitlines()
    name, _, url = lines[-4].partition(": ")
    link = links.read(SIGNED_WITH, url.removeprefix("https://p.example/links/"), at(2))
    assert (name, link.what, link.to, link.alert_id) == ("Acknowledge", ActionKind.ACK, "chat", alert().alert_id)
    assert lines[-3].startswith("Snooze 1 h: https://p.example/links/")
    assert lines[-2:] == [
        "Runbook: https://r.example/runbooks/spike.md",
        f"https://c.example/alerts/{alert().alert_id}",
    ]


def test_the_short_style_fits_a_text_message() -> None:
    said = message(notice(), "pager", Places("https://c.example"), "short")
    assert [line for line in said.body.splitlines() if line] == [
        "$10.00 so far, $240 in 24 h.",
        alert().remedies[0],
        f"https://c.example/alerts/{alert().alert_id}",
    ]
    assert len(said.title) + len(said.body) < 300


def test_who_closed_it_is_said() -> None:
    said = message(notice(Why.RESOLVED, by="ann", state=AlertState.EXPECTED), "chat", PLACES)
    assert said.title.startswith("EXPECTED: ")
    assert "ann says it is expected. So far it came to $10.00 more than expected." in said.body
    assert "links/" not in said.body


def test_an_escalation_says_why_it_comes() -> None:
    assert "Nobody has acknowledged it yet" in message(notice(Why.ESCALATED, level=2), "lead", Places()).body


def test_a_group_is_one_message_with_the_loudest_first() -> None:
    many = [alert(f"k{n}") for n in range(12)] + [alert("worst", severity=Severity.CRITICAL)]
    said = message(notice(Why.FIRING, *many), "chat", PLACES)
    assert said.title == "CRITICAL: 13 alerts, $3,120 in 24 hours if it goes on"
    assert "worst" in said.body.splitlines()[0]
    assert said.body.splitlines()[-1] == "and 3 more"
