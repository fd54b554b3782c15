"""The HTTP API on the ClickHouse engine: who may do what, what is refused, what an action comes to."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from streams.api.access import Access
from streams.api.app import Api, make_app
from streams.api.reading import AlertReader
from streams.io.clickhouse import ClickHouseStore, StoreAway
from tests.support.findings import at
from tests.support.oncall import OPERATE, READ, Stage, alert

ACCESS = Access([("grafana", "read", READ), ("ann", "operator", OPERATE)])


@pytest.fixture
def stage(store: ClickHouseStore) -> Stage:
    return Stage(store)


class Client:
    """Requests with a token."""

    def __init__(self, stage: Stage, reader: AlertReader | None = None) -> None:
        reader = reader or AlertReader(stage.store)
        self._app = make_app(Api(reader, stage, ACCESS, clock=lambda: at(5), wait_seconds=5.0))

    def __call__(self, method: str, path: str, token: str = OPERATE, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            headers |= more.pop("headers", {})
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://api") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(ask())


@pytest.fixture
def ask(stage: Stage) -> Client:
    return Client(stage)


def path(rest: str = "") -> str:
    return f"/api/v1/alerts/{alert().alert_id}{rest}"


@pytest.mark.parametrize(("method", "where"), [("GET", "/api/v1/alerts"), ("GET", path()), ("POST", path("/ack"))])
@pytest.mark.parametrize("token", ["", "wrong", READ[:-1]])
def test_nothing_goes_without_a_token(ask: Client, stage: Stage, method: str, where: str, token: str) -> None:
    answer = ask(method, where, token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert stage.taken == []


def test_who_may_read_may_not_act(ask: Client, stage: Stage) -> None:
    assert ask("GET", "/api/v1/me", READ).json() == {"name": "grafana", "role": "read"}
    assert ask("GET", path(), READ).status_code == 200
    answer = ask("POST", path("/ack"), READ)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert stage.taken == []


def test_the_inbox_shows_what_is_open_and_what_may_be_done(ask: Client) -> None:
    (row,) = ask("GET", "/api/v1/alerts").json()["alerts"]
    assert (row["alert_id"], row["state"], row["severity"]) == (alert().alert_id, "firing", "warning")
    assert row["excess_usd"] == "10"
    assert row["allowed"] == ["ack", "expected", "false_positive", "resolve", "snooze"]
    assert ask("GET", "/api/v1/alerts?state=resolved").json() == {"alerts": []}
    assert ask("GET", "/api/v1/alerts?severity=critical").json() == {"alerts": []}
    assert ask("GET", "/api/v1/alerts?team=nobody").json() == {"alerts": []}
    assert len(ask("GET", "/api/v1/alerts?state=all&limit=1").json()["alerts"]) == 1
    assert ask("GET", "/api/v1/alerts?before=2020-01-01T00:00:00Z").json() == {"alerts": []}


def test_an_ack_is_seen_at_once_with_who_and_when(ask: Client) -> None:
    answer = ask("POST", path("/ack"), json={"note": "looking"})
    change = answer.json()["change"]
    assert (answer.status_code, change["what"], change["who"], change["via"]) == (200, "acked", "ann", "api")
    seen = ask("GET", path()).json()
    assert (seen["alert"]["state"], seen["alert"]["acked_by"], seen["alert"]["state_by"]) == (
        "acknowledged",
        "ann",
        "ann",
    )
    assert [change["what"] for change in seen["changes"]] == ["opened", "acked"]
    assert seen["changes"][1]["at"] == "2026-11-12T10:05:00Z"


def test_what_does_not_fit_the_state_is_a_conflict(ask: Client) -> None:
    ask("POST", path("/resolve"))
    answer = ask("POST", path("/ack"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "refused")
    assert "resolved" in answer.json()["error"]["message"]


def test_a_snooze_says_until_when(ask: Client, stage: Stage) -> None:
    answer = ask("POST", path("/snooze"), json={"minutes": 90})
    assert answer.json()["change"]["until"] == "2026-11-12T11:35:00Z"
    assert stage.taken[0].until == at(5) + timedelta(minutes=90)
    assert ask("GET", "/api/v1/alerts").json()["alerts"][0]["snoozed_until"] == "2026-11-12T11:35:00Z"


def test_feedback_marks_the_alert(ask: Client) -> None:
    assert ask("POST", path("/feedback"), json={"says": "expected"}).json()["change"]["state"] == "expected"
    assert ask("GET", "/api/v1/alerts").json() == {"alerts": []}
    assert ask("GET", "/api/v1/alerts?state=expected").json()["alerts"][0]["state"] == "expected"


def test_a_request_repeated_under_its_key_is_one_action(ask: Client, stage: Stage) -> None:
    for _ in range(2):
        ask("POST", path("/ack"), headers={"Idempotency-Key": "1"})
    assert len({action.action_id for action in stage.taken}) == 1


@pytest.mark.parametrize(
    ("where", "more", "status"),
    [
        ("/snooze", {"json": {}}, 422),
        ("/snooze", {"json": {"minutes": -1}}, 422),
        ("/snooze", {"json": {"minutes": 10**9}}, 422),
        ("/snooze", {"json": {"minutes": "SECRET"}}, 422),
        ("/feedback", {"json": {"says": "SECRET"}}, 422),
        ("/ack", {"json": {"unknown": 1}}, 422),
        ("/ack", {"json": {"note": "x" * 1001}}, 422),
        ("/ack", {"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ("/ack", {"content": b"note=1", "headers": {"content-type": "text/plain"}}, 415),
        ("/ack", {"content": b" " * 20_000, "headers": {"content-type": "application/json"}}, 413),
        ("/nothing", {}, 404),
    ],
)
def test_a_wrong_request_names_its_fault_and_repeats_nothing(
    ask: Client, stage: Stage, where: str, more: dict[str, Any], status: int
) -> None:
    answer = ask("POST", path(where), **more)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert "SECRET" not in answer.text
    assert stage.taken == []


@pytest.mark.parametrize("query", ["state=SECRET", "severity=SECRET", "before=SECRET", "before=2026-01-01", "limit=0"])
def test_a_wrong_filter_names_its_fault(ask: Client, query: str) -> None:
    answer = ask("GET", f"/api/v1/alerts?{query}")
    assert answer.status_code == 422
    assert "SECRET" not in answer.text


def test_an_unknown_alert_is_not_found(ask: Client, stage: Stage) -> None:
    assert ask("GET", "/api/v1/alerts/al-none").status_code == 404
    assert ask("POST", "/api/v1/alerts/al-none/ack").status_code == 404
    assert ask("POST", "/api/v1/remedies/none/approve").status_code == 404
    assert ask("GET", path("/ack")).status_code == 405
    assert stage.taken == []


def test_a_store_that_is_away_is_said(stage: Stage) -> None:
    class Away:
        def query(self, *_: Any) -> list[dict[str, Any]]:
            raise StoreAway("query", "ConnectionError")

    answer = Client(stage, AlertReader(Away()))("GET", "/api/v1/alerts")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_access_needs_a_token_and_each_once() -> None:
    with pytest.raises(ValueError, match="there is none"):
        Access([])
    with pytest.raises(ValueError, match="the same token"):
        Access([("a", "read", READ), ("b", "operator", READ)])
