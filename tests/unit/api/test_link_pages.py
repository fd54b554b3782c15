"""The pages behind one-click links: a GET shows, a POST acts, once."""

from __future__ import annotations

import asyncio
import html
from datetime import timedelta

import httpx
import pytest

from schemas.oncall import ActionKind
from streams.api.access import Access
from streams.api.app import Api, make_app
from streams.api.links import LinkPages, link_routes
from streams.api.reading import AlertReader
from streams.core.alert.links import Link, sign
from streams.io.clickhouse import ClickHouseStore
from tests.support.findings import at
from tests.support.oncall import OPERATE, Stage, alert

SIGNED_WITH = "a secret of more than twenty characters"


def link(what: ActionKind = ActionKind.ACK, minutes: int = 0, expires: float = 60) -> str:
    return sign(SIGNED_WITH, Link(alert().alert_id, what, "chat", at(expires), minutes))


def ask(stage: Stage, method: str, token: str) -> httpx.Response:
    api = Api(AlertReader(stage.store), stage, Access([("ann", "operator", OPERATE)]), clock=lambda: at(5))
    app = make_app(api, *link_routes(LinkPages(api, SIGNED_WITH, lambda: at(5))))

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, f"/links/{token}")

    return asyncio.run(run())


@pytest.fixture
def stage(store: ClickHouseStore) -> Stage:
    return Stage(store)


def test_looking_at_a_link_changes_nothing(stage: Stage) -> None:
    for method in ("GET", "HEAD"):
        seen = ask(stage, method, link())
        assert seen.status_code == 200
    seen = ask(stage, "GET", link())
    assert stage.taken == []
    assert '<form method="post">' in seen.text
    assert html.escape(alert().explanation) in seen.text
    assert "default-src 'none'" in seen.headers["content-security-policy"]
    assert seen.headers["cache-control"] == "no-store"


def test_the_button_acts_in_the_name_of_the_receiver_and_once(stage: Stage) -> None:
    done = ask(stage, "POST", link())
    assert (done.status_code, "The alert is acknowledged." in done.text) == (200, True)
    ask(stage, "POST", link())
    assert [(action.who, action.via) for action in stage.taken] == [("chat", "link")] * 2
    assert len({action.action_id for action in stage.taken}) == 1, "which the desk takes once"


def test_a_snooze_is_as_long_as_the_link_says(stage: Stage) -> None:
    token = link(ActionKind.SNOOZE, 60)
    assert "Snooze for 1 h?" in ask(stage, "GET", token).text
    ask(stage, "POST", token)
    assert stage.taken[0].until == at(5) + timedelta(hours=1)


@pytest.mark.parametrize("token", [link(expires=4), link()[:-4] + "AAAA", "nonsense", "<script>"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_that_is_over_or_not_ours_does_nothing(stage: Stage, method: str, token: str) -> None:
    answer = ask(stage, method, token)
    assert answer.status_code == 410
    assert "<script>" not in answer.text
    assert stage.taken == []


def test_what_does_not_fit_is_said(stage: Stage) -> None:
    ask(stage, "POST", link(ActionKind.RESOLVE))
    answer = ask(stage, "POST", link())
    assert (answer.status_code, "It was not done" in answer.text) == (409, True)
