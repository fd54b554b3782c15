"""The console in a real Chromium: an incident comes, is acknowledged, and stays so; and nothing on the way confuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from streams.api.actions import KafkaActions
from streams.core.remedy.policies import remedy_id
from streams.io.clickhouse import ClickHouseStore
from streams.io.embedded import EmbeddedBroker
from streams.settings import ClickHouse
from tests.support.alerting import publish
from tests.support.browser import DESK, PHONE, Browser, browser
from tests.support.findings import driver, finding, mark
from tests.support.live import live, live_settings
from tests.support.outside import Outside, outside
from tests.support.receivers import FakeReceiver, fake_receiver
from tests.support.watching_console import OPERATE, READ, ROLES, Leaving, console, with_console

STAGES = ("land", "alert")
OTTO = "otto in the console"
T = TypeVar("T")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, token in ROLES.items():
        monkeypatch.setenv(name, token)


async def looks(look: Callable[..., T], *args: object) -> T:
    """What a browser does, while the service goes on in this loop."""
    return await asyncio.to_thread(look, *args)


def log_in(window: Browser, url: str, token: str = OPERATE) -> None:
    window.driver.delete_all_cookies()
    window.open(url)
    window.type("#token", token)
    window.click(".login button")
    window.until(lambda: urlsplit(window.driver.current_url).path == urlsplit(url).path, "the page after the log-in")


def test_an_incident_appears_is_acknowledged_and_stays_so_after_a_restart(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, window: Browser
) -> None:
    now = datetime.now(UTC)
    incident = finding(
        {"principal": "key-7"}, 250.0, drivers=[driver(1.0, principal="key-7", team="search")],
        opened_at=now - timedelta(minutes=3), detected_at=now - timedelta(minutes=2), last_seen_at=now,
    )  # fmt: skip
    settings = with_console(live_settings(broker, clickhouse, tmp_path))
    leaving = Leaving(store)

    async def before() -> int:
        async with (
            live(settings, store, STAGES), KafkaActions(settings) as actions,
            console(settings, leaving, actions) as service,
        ):  # fmt: skip
            await looks(log_in, window, f"{service.url}/alerts")
            await looks(window.shows, "No alert so far")
            await looks(window.run, "window.same = true")
            await publish(settings, [incident, mark(0, time=now + timedelta(seconds=1))])
            await looks(window.shows, "Key key-7 spends $252/h, expected $2.00/h")
            assert await looks(window.run, "return window.same")  # it was not loaded anew
            await looks(window.until, lambda: window.driver.title.startswith("(1) Alerts"), "a title that counts")

            await looks(window.press, "j", "\ue007")  # the first alert of the list, Enter
            await looks(window.shows, "Firing", "#alert-state")
            await looks(window.press, "a")
            await looks(window.shows, "Acknowledged", "#alert-state")
            await looks(window.shows, OTTO, "#alert-timeline")
            await looks(window.until, lambda: not window.texts("#do-ack"), "the button to go")

            leaving.is_away = True
            await looks(window.shows, "ClickHouse does not answer", "#trouble")
            assert "Key key-7" in await looks(window.text, "h1")  # what was read last stays, and says how old it is
            assert "was read" in await looks(window.text, "#trouble-age")
            leaving.is_away = False
            await looks(window.until, lambda: not window.text("#trouble"), "the trouble to end")
            assert await looks(window.complaints) == []
            return int(urlsplit(service.url).port or 0)

    async def after(port: int) -> None:
        await looks(window.shows, "The console does not answer", "#trouble")
        await looks(window.run, "window.same = true")
        again = with_console(settings, port=port)
        async with (
            live(again, store, STAGES), KafkaActions(again) as actions, console(again, store, actions),
        ):  # fmt: skip
            await looks(window.until, lambda: not window.text("#trouble"), "the page to come back by itself")
            assert await looks(window.run, "return window.same")
            await looks(window.shows, "Acknowledged", "#alert-state")
            await looks(window.click_while_replaced, "#do-unack", "alert-actions")  # the stage knows where it stands
            await looks(window.shows, "Firing", "#alert-state")
            await looks(window.shows, "Given back", "#alert-timeline")
            await looks(window.click, "#do-ack:not(:disabled)")
            await looks(window.shows, "Acknowledged", "#alert-state")

    asyncio.run(after(asyncio.run(before())))


SCALE = "/apis/apps/v1/namespaces/ml/deployments/train-a/scale"
REMEDIES = {
    "litellm block key": {"name": "block", "action": "litellm_block_key", "target": "{principal}"},
    "kubernetes scale": {"name": "scale", "action": "kubernetes_scale", "target": "ml/deployments/{cluster}"},
    "webhook": {"name": "tell", "action": "webhook", "target": "{principal}", "receiver": "robot"},
}
"""Policies by what their page calls them."""


def test_remedies_are_approved_done_measured_and_undone(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, window: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each click reaches the system that it is for, and what it saved is to be read."""
    now = datetime.now(UTC)
    series = {"principal": "key-7", "cluster": "train-a"}
    incident = finding(
        series, 250.0, per_hour=36_000.0, drivers=[driver(1.0, **series)], opened_at=now - timedelta(minutes=3),
        detected_at=now - timedelta(minutes=2), last_seen_at=now,
    )  # fmt: skip

    def standing(world: Outside, robot: FakeReceiver) -> tuple[Any, int, list[str]]:
        """How the three systems stand."""
        told = [message["type"] for message in robot.taken if message["type"].startswith("spendstream.remedy")]
        return world.keys["key-7"]["blocked"], world.scales[SCALE], told

    def click(action: str, label: str) -> None:
        remedy = remedy_id(alert_id(), REMEDIES[action]["name"])
        window.click(f"#do-{label.lower()}_remedy-{remedy}:not(:disabled)")
        if label == "Approve":
            window.agree()

    def named() -> list[str]:
        return window.texts(".remedy b:first-child")

    def alert_id() -> str:
        return urlsplit(window.driver.current_url).path.rsplit("/", 1)[1]

    def states() -> list[str]:
        return [chip.lower() for chip in window.texts(".remedy .chip")]

    async def run(world: Outside, robot: FakeReceiver) -> None:
        policies = [{**policy, "mode": "approve"} for policy in REMEDIES.values()]
        robot_url = {"url": f"http://{robot.address}/", "secret_env": "SIGNS", "kind": "webhook", "name": "robot"}
        settings = with_console(
            live_settings(
                broker, clickhouse, tmp_path,
                alerts={"receivers": [robot_url], "allowed_targets": ["127.0.0.1"]},
                remedies={
                    "policies": policies, "measure_seconds": 1.0,
                    "litellm": {"url": world.url, "token_env": "OUTSIDE"},
                    "kubernetes": {"url": world.url, "token_env": "OUTSIDE"},
                },
            )
        )  # fmt: skip
        async with (
            live(settings, store, STAGES), KafkaActions(settings) as actions,
            console(settings, store, actions) as service,
        ):  # fmt: skip
            await publish(settings, [incident, mark(0, time=now + timedelta(seconds=1))])
            await looks(log_in, window, f"{service.url}/alerts")
            await looks(window.shows, "Key key-7")
            await looks(window.press, "j", "\ue007")
            await looks(window.until, lambda: states() == ["proposed"] * 3, "three proposals")
            assert standing(world, robot) == (False, 8, [])  # nothing is done before somebody says so
            for action in REMEDIES:
                await looks(click, action, "Approve")
            await looks(window.until, lambda: states() == ["measured"] * 3, "all to be done and measured")
            assert standing(world, robot) == (True, 0, ["spendstream.remedy.do"])
            # 36,000 USD an hour too much were spent, and no more came in the second over which it was measured.
            assert (await looks(window.text, "#alert-actions")).count("$10.00 avoided so far") == 3
            titles = await looks(named)
            for action in REMEDIES:
                await looks(click, action, "Undo")
            await looks(window.until, lambda: states() == ["undone"] * 3, "all to be undone")
            assert await looks(named) == titles  # none moved under the hand
            assert standing(world, robot) == (False, 8, ["spendstream.remedy.do", "spendstream.remedy.undo"])
            await looks(window.until, lambda: window.text("#alert-timeline").count(OTTO) >= 6, "who did it")
            # The page of the test before may complain late that its console is gone.
            assert [said for said in await looks(window.complaints) if service.url in said] == []

    monkeypatch.setenv("SIGNS", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2traw==")
    with outside() as world, fake_receiver() as robot:
        monkeypatch.setenv("OUTSIDE", world.token)
        world.keys["key-7"] = {"blocked": False, "max_budget": None, "spend": 1.0}
        world.scales[SCALE] = 8
        asyncio.run(run(world, robot))


def test_whoever_may_look_only_finds_no_button_and_the_log_in_says_what_is_wrong(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, window: Browser
) -> None:
    settings = with_console(live_settings(broker, clickhouse, tmp_path))

    async def run() -> None:
        async with KafkaActions(settings) as actions, console(settings, store, actions) as service:
            await looks(window.driver.delete_all_cookies)
            await looks(window.open, service.url)
            await looks(window.type, "#token", "not-a-token")
            await looks(window.click, ".login button")
            await looks(window.shows, "This token is not known.")
            await looks(log_in, window, f"{service.url}/alerts", READ)
            await looks(window.shows, "rita (read only)", "header")
            cookie = (await looks(window.driver.get_cookies))[0]
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert READ not in cookie["value"]
            await looks(window.click, "header form button")
            await looks(window.shows, "Log in", "h1")

    asyncio.run(run())


def test_it_fits_a_phone_has_names_for_all_it_offers_and_asks_nothing_of_other_hosts(
    broker: EmbeddedBroker, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path, window: Browser
) -> None:
    settings = with_console(live_settings(broker, clickhouse, tmp_path))

    async def run() -> None:
        async with KafkaActions(settings) as actions, console(settings, store, actions) as service:
            await looks(log_in, window, f"{service.url}/")
            for path in ("/", "/alerts", "/alerts/none", "/nothing"):
                await looks(window.size, *PHONE)
                await looks(window.open, service.url + path)
                await looks(window.until, lambda: window.text("main"), "the page")
                wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await looks(window.run, wide) == 0, path
                assert await looks(window.run, NAMELESS) == [], path
                assert await looks(window.run, FROM_ELSEWHERE) == [], path
            await looks(window.size, *DESK)
            await looks(window.open, service.url)
            await looks(window.press, "t")
            assert await looks(window.run, "return document.documentElement.dataset.theme") == "dark"
            await looks(window.open, service.url + "/alerts")
            assert await looks(window.run, "return document.documentElement.dataset.theme") == "dark"
            await looks(window.press, "?")
            await looks(window.shows, "next and previous alert", "dialog")
            await looks(window.press, "\ue00c")
            await looks(window.until, lambda: not window.text("dialog"), "the list of keys to close")
            await looks(window.press, "g", "l")
            await looks(window.shows, "No usage has arrived in the last day")

    asyncio.run(run())


NAMELESS = """
return [...document.querySelectorAll("a, button, input:not([type=hidden]), select, [tabindex='0']")]
  .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
  .map((e) => e.outerHTML)
"""
FROM_ELSEWHERE = """
return performance.getEntriesByType("resource").map((e) => e.name).filter((name) => !name.startsWith(location.origin))
"""
