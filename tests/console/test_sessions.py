"""Who may use the console: tokens, sessions, forms, hosts, and what every response carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from schemas.oncall import AlertAction
from streams.console.app import check, make_app, make_pages
from streams.console.guard import HEADERS
from streams.console.queries import Row
from streams.console.sessions import ATTEMPTS, COOKIE, Sessions
from streams.settings import Settings
from streams.settings_api import Api
from tests.support.watching_console import API, OPERATE, READ, ROLES

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HERE = {"Accept": "application/json"}


class Taken:
    """Takes actions down."""

    def __init__(self) -> None:
        self.actions: list[AlertAction] = []

    async def send(self, action: AlertAction) -> None:
        self.actions.append(action)


class Nothing:
    """A store without rows."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:  # noqa: ARG002
        return []


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, token in ROLES.items():
        monkeypatch.setenv(name, token)


def client(api: Api = API, **console: object) -> tuple[TestClient, Taken, Sessions]:
    """A browser without a script, what it asked for, and the sessions of its console."""
    taken = Taken()
    made = Settings()
    settings = made.model_copy(
        update={"api": api.model_copy(update={"wait_seconds": 0.0}), "console": made.console.model_copy(update=console)}
    )
    pages = make_pages(settings, Nothing(), taken, lambda: NOW)
    return TestClient(make_app(pages), base_url="http://127.0.0.1", follow_redirects=False), taken, pages.sessions


def logged_in(token: str) -> tuple[TestClient, Taken, dict[str, str]]:
    """A browser that has logged in, and the fields that its forms carry."""
    browser, taken, sessions = client()
    assert browser.post("/login", data={"token": token, "next": "/alerts"}).headers["location"] == "/alerts"
    session = sessions.read(browser.cookies[COOKIE])
    assert session is not None
    return browser, taken, {"csrf": session.csrf, "action_id": "x"}


def test_without_a_session_every_page_leads_to_the_log_in_and_nothing_is_shown() -> None:
    browser, _, _ = client()
    assert browser.get("/alerts/al-1").headers["location"] == "/login?next=/alerts/al-1"
    assert browser.get("/events?of=/").status_code == 401
    assert browser.post("/alerts/al-1/actions", data={"what": "ack"}, headers=HERE).status_code == 401


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"])
def test_a_log_in_leads_nowhere_else(elsewhere: str) -> None:
    browser, _, _ = client()
    assert browser.post("/login", data={"token": OPERATE, "next": elsewhere}).headers["location"] == "/"


def test_the_token_stands_nowhere_and_the_cookie_is_out_of_reach_of_scripts_and_sites() -> None:
    browser, _, _ = client()
    said = browser.post("/login", data={"token": READ})
    cookie = said.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert READ not in str(said.headers) + said.text


def test_a_session_ends_with_its_time_its_signature_or_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    sessions = Sessions(API, lambda: now[0], timedelta(hours=1))
    cookie = sessions.open(OPERATE) or ""
    found = sessions.read(cookie)
    assert found is not None
    assert (found.caller.name, found.caller.may_act) == ("otto", True)
    assert sessions.read(cookie.replace(".otto", ".rita")) is None
    assert sessions.read(cookie[:-6] + "x.otto") is None
    assert sessions.read("") is None
    monkeypatch.setenv("OPERATE_TOKEN", "another-token-of-this-length")
    assert Sessions(API, lambda: now[0], timedelta(hours=1)).read(cookie) is None
    now[0] += timedelta(hours=1, seconds=1)
    assert sessions.read(cookie) is None


def test_guessing_is_slow() -> None:
    browser, _, _ = client()
    for _ in range(ATTEMPTS):
        assert "not known" in browser.post("/login", data={"token": "wrong"}).text
    assert "wait a minute" in browser.post("/login", data={"token": OPERATE}).text


def test_an_operator_acts_once_however_often_a_button_is_pressed() -> None:
    browser, taken, form = logged_in(OPERATE)
    for _ in range(2):
        said = browser.post("/alerts/al-1/actions", data={**form, "what": "ack", "note": "mine"}, headers=HERE)
        assert said.status_code == 202
    first, second = taken.actions
    assert (first.alert_id, first.what.value, first.who, first.via, first.note) == (
        "al-1", "ack", "otto", "console", "mine",
    )  # fmt: skip
    assert first.action_id == second.action_id


def test_whoever_may_look_only_can_not_act() -> None:
    browser, taken, form = logged_in(READ)
    said = browser.post("/alerts/al-1/actions", data={**form, "what": "ack"}, headers=HERE)
    assert (said.status_code, "may look only" in said.text, taken.actions) == (403, True, [])


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_no_other_site_can_send_our_forms(headers: dict[str, str]) -> None:
    browser, taken, form = logged_in(OPERATE)
    said = browser.post("/alerts/al-1/actions", data={**form, "what": "ack"}, headers={**HERE, **headers})
    assert (said.status_code, taken.actions) == (403, [])


def test_a_form_without_the_word_of_its_session_is_refused() -> None:
    browser, taken, form = logged_in(OPERATE)
    for csrf in ("", "0" * 64, "\N{SNOWMAN}"):
        said = browser.post("/alerts/al-1/actions", data={**form, "csrf": csrf, "what": "ack"}, headers=HERE)
        assert (said.status_code, taken.actions) == (403, [])


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"what": "explode"}, "none that is known"), ({"what": "snooze", "minutes": "x"}, "none that is known"),
     ({"what": "snooze", "minutes": "inf"}, "none that is known"), ({"what": "snooze", "minutes": "-5"}, "until"),
     ({"what": "snooze", "minutes": "99999999"}, "until"), ({"what": "approve_remedy"}, "remedy_id"),
     ({"what": "ack", "note": "n" * 1_001}, "note")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name_and_not_repeated(fields: dict[str, str], word: str) -> None:
    browser, taken, form = logged_in(OPERATE)
    said = browser.post("/alerts/al-1/actions", data={**form, **fields}, headers=HERE)
    assert (said.status_code, taken.actions) == (422, [])
    assert word in said.text
    assert "nnnn" not in said.text


def test_beyond_this_machine_it_asks_for_tokens() -> None:
    made = Settings()
    beyond = made.model_copy(update={"console": made.console.model_copy(update={"host": "0.0.0.0"})})  # noqa: S104
    with pytest.raises(ValueError, match=r"api\.tokens"):
        check(beyond)
    check(beyond.model_copy(update={"api": API}))


def test_without_tokens_it_answers_to_names_of_this_machine_alone() -> None:
    browser, _, _ = client(Api())
    assert browser.get("/").status_code == 200
    assert browser.get("/", headers={"Host": "localhost:8480"}).status_code == 200
    assert browser.get("/", headers={"Host": "rebound.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/login", "/nothing", "/static/console.css", "/static/../app.py", "/health"])
def test_every_response_carries_the_headers(path: str) -> None:
    browser, _, _ = client()
    said = browser.get(path)
    assert all(said.headers[name] == value for name, value in HEADERS.items())
    assert "unsafe" not in said.headers["content-security-policy"]
