"""What is said to whom: begin and end once, until accepted, each channel by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from schemas.watch import Alert
from streams.core.alert import Alerter, AlertRules
from streams.io.notify import DeliveryError
from streams.io.outbox import Outbox
from streams.metrics import Metrics
from tests.support.findings import finding

LIMIT_SECONDS = 20.0


class Fake:
    """A channel that keeps what it takes and refuses what it is told to."""

    def __init__(self, name: str = "chat", *, resend_seconds: float | None = None) -> None:
        self.name = name
        self.resend_seconds = resend_seconds
        self.taken: list[tuple[str, str]] = []
        self.refuse: Callable[[Alert], bool] = lambda _: False
        self.tried = 0

    async def send(self, alert: Alert) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.refuse(alert):
            raise DeliveryError("not now")
        self.taken.append((alert.series["principal"], alert.status))

    async def close(self) -> None:
        return


def story(key: str = "k1") -> list[Alert]:
    """An alert that fires, goes on, and is resolved."""
    alerter = Alerter(AlertRules(min_excess_usd=Decimal(1)))
    for revision, closed in enumerate([None, None, 9.0]):
        alerter.finding(finding({"principal": key}, 10.0, revision=revision, seen=2.0 + revision, closed=closed))
    return alerter.flush()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  (the fakes tell nobody)
            await asyncio.sleep(0.005)


def offer(outbox: Outbox, alerts: Sequence[Alert]) -> list[bool]:
    return [outbox.offer(alert) for alert in alerts]


def made(*channels: Fake) -> Outbox:
    return Outbox(channels, Metrics(), retry_seconds=0.01)


def test_only_begin_and_end_are_said() -> None:
    chat, outbox = Fake(), None

    async def run() -> None:
        nonlocal outbox
        outbox = made(chat)
        outbox.start()
        assert offer(outbox, story()) == [True, False, True]
        outbox.go()
        await until(lambda: len(chat.taken) == 2)
        assert offer(outbox, story()[2:]) == [False]
        await outbox.stop()

    asyncio.run(run())
    assert chat.taken == [("k1", "firing"), ("k1", "resolved")]


def test_nothing_is_said_before_it_is_in_a_checkpoint() -> None:
    async def run() -> None:
        chat = Fake()
        outbox = made(chat)
        outbox.start()
        offer(outbox, story()[:1])
        await asyncio.sleep(0.05)
        assert (chat.tried, outbox.waiting()) == (0, 1)
        await outbox.stop()

    asyncio.run(run())


def test_a_refusal_is_retried_and_does_not_hold_up_others() -> None:
    async def run() -> None:
        deaf, chat = Fake("deaf"), Fake("chat")
        deaf.refuse = lambda alert: alert.series["principal"] == "k1"
        outbox = made(deaf, chat)
        outbox.start()
        offer(outbox, story("k1") + story("k2"))
        outbox.go()
        await until(lambda: len(chat.taken) == 4 and len(deaf.taken) == 2)
        assert {key for key, _ in deaf.taken} == {"k2"}
        deaf.refuse = lambda _: False
        await until(lambda: len(deaf.taken) == 4)
        assert deaf.taken[2:] == [("k1", "firing"), ("k1", "resolved")], "the end waits for its beginning"
        await outbox.stop()

    asyncio.run(run())


def test_a_channel_that_breaks_is_retried_like_one_that_refuses() -> None:
    class Broken(Fake):
        async def send(self, alert: Alert) -> None:
            if self.tried < 2:
                self.tried += 1
                raise RuntimeError("https://user:secret@example.org")
            await super().send(alert)

    async def run() -> None:
        broken = Broken()
        outbox = made(broken)
        outbox.start()
        offer(outbox, story()[:1])
        outbox.go()
        await until(lambda: broken.taken == [("k1", "firing")])
        await outbox.stop()

    asyncio.run(run())


def test_waiting_for_a_receiver_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        chat = Fake()
        chat.refuse = lambda _: True
        outbox = Outbox([chat], Metrics(), retry_seconds=30.0)
        outbox.start()
        offer(outbox, story())
        outbox.go()
        await until(lambda: chat.tried == 1)
        turns = 0
        sleep = Outbox._sleep

        async def counted(*args: object) -> None:
            nonlocal turns
            turns += 1
            await sleep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(Outbox, "_sleep", counted)
        await asyncio.sleep(0.1)
        assert turns <= 1
        await outbox.stop()

    asyncio.run(run())


def test_a_restart_says_what_is_left_and_nothing_twice() -> None:
    async def run() -> None:
        first, second = Fake("chat"), Fake("pager")
        second.refuse = lambda _: True
        before = made(first, second)
        before.start()
        offer(before, story()[:1])
        before.go()
        await until(lambda: len(first.taken) == 1 and second.tried > 1)
        await before.stop()
        saved = json.loads(json.dumps(before.snapshot()))
        second.refuse = lambda _: False
        after = made(first, second)
        after.restore(saved)
        after.start()
        await until(lambda: len(second.taken) == 1)
        assert offer(after, story()) == [False, False, True], "the log is read again from the checkpoint"
        after.go()
        await until(lambda: len(first.taken) == len(second.taken) == 2)
        await after.stop()
        assert first.taken == second.taken == [("k1", "firing"), ("k1", "resolved")]

    asyncio.run(run())


def test_what_was_offered_and_not_let_go_is_in_the_snapshot() -> None:
    async def run() -> None:
        before = made(Fake())
        offer(before, story()[:1])
        chat = Fake()
        after = made(chat)
        after.restore(json.loads(json.dumps(before.snapshot())))
        after.start()
        await until(lambda: chat.taken == [("k1", "firing")])
        await after.stop()

    asyncio.run(run())


def test_what_waits_is_said_as_it_stands_now() -> None:
    alerts = story()
    newer = alerts[1].model_copy(update={"excess_usd": Decimal(77)})

    async def run() -> None:
        heard: list[Decimal] = []
        chat = Fake()
        chat.refuse = lambda alert: heard.append(alert.excess_usd) or alert.excess_usd != 77  # type: ignore[func-returns-value]
        outbox = made(chat)
        outbox.start()
        offer(outbox, alerts[:1])
        outbox.go()
        await until(lambda: chat.tried > 0)
        offer(outbox, [newer])
        await until(lambda: len(chat.taken) == 1)
        await outbox.stop()

    asyncio.run(run())


def test_what_fires_is_said_again_where_a_channel_needs_it() -> None:
    async def run() -> None:
        chat, manager = Fake("chat"), Fake("manager", resend_seconds=0.02)
        outbox = made(chat, manager)
        outbox.start()
        alerts = story()
        offer(outbox, alerts[:1])
        outbox.go()
        await until(lambda: manager.taken.count(("k1", "firing")) >= 3)
        offer(outbox, alerts[1:])
        outbox.go()
        await until(lambda: ("k1", "resolved") in manager.taken)
        again = len(manager.taken)
        await asyncio.sleep(0.1)
        await outbox.stop()
        assert len(manager.taken) == again, "what is resolved is left alone"
        assert chat.taken == [("k1", "firing"), ("k1", "resolved")]

    asyncio.run(run())


def test_outcomes_are_counted_by_channel() -> None:
    async def run() -> Metrics:
        metrics, chat = Metrics(), Fake()
        chat.refuse = lambda _: chat.tried < 3
        outbox = Outbox([chat], metrics, retry_seconds=0.01)
        outbox.start()
        offer(outbox, story()[:1])
        outbox.go()
        await until(lambda: len(chat.taken) == 1)
        await until(lambda: outbox.waiting() == 0)
        await outbox.stop()
        return metrics

    registry = asyncio.run(run()).registry
    count = "spendstream_alert_deliveries_total"
    assert registry.get_sample_value(count, {"channel": "chat", "outcome": "failed"}) == 2
    assert registry.get_sample_value(count, {"channel": "chat", "outcome": "sent"}) == 1
