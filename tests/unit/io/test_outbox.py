"""What is said to whom: until accepted, each channel by itself, in order for each alert."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from schemas.oncall import AlertState
from schemas.watch import Alert
from streams.core.alert import Alerter, AlertRules
from streams.core.alert.notices import Notice, Why
from streams.io.notify import DeliveryError
from streams.io.outbox import Outbox
from streams.metrics import Metrics
from tests.support.findings import at, finding

LIMIT_SECONDS = 60.0


class Fake:
    """A channel that keeps what it takes and refuses what it is told to."""

    def __init__(self, name: str = "chat") -> None:
        self.name = name
        self.taken: list[tuple[str, str]] = []
        self.refuse: Callable[[Alert], bool] = lambda _: False
        self.tried = 0

    async def send(self, notice: Notice) -> None:
        await self.take(notice.alert, notice.why.value)

    async def take(self, alert: Alert, why: str) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.refuse(alert):
            raise DeliveryError("not now")
        self.taken.append((alert.series["principal"], why))

    async def close(self) -> None:
        return


class FakeManager(Fake):
    """One that has to hear again and again of what fires."""

    resend_seconds = 0.02

    async def resend(self, alert: Alert) -> None:
        await self.take(alert, "again")


def alerts(key: str = "k1") -> list[Alert]:
    """An alert that fires, goes on, and is resolved."""
    alerter = Alerter(AlertRules(min_excess_usd=Decimal(1)))
    for revision, closed in enumerate([None, None, 9.0]):
        alerter.finding(finding({"principal": key}, 10.0, revision=revision, seen=2.0 + revision, closed=closed))
    return alerter.flush()


def notice(alert: Alert, why: Why = Why.FIRING, to: Sequence[str] = ("chat", "pager", "deaf", "manager")) -> Notice:
    state = AlertState.RESOLVED if why is Why.RESOLVED else AlertState.FIRING
    return Notice(f"{alert.alert_id}:{why.value}", why, tuple(to), (alert,), state, at(1))


def story(key: str = "k1") -> list[Notice]:
    """What is said of it: its beginning and its end."""
    first, _, last = alerts(key)
    return [notice(first), notice(last, Why.RESOLVED)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  (the fakes tell nobody)
            await asyncio.sleep(0.005)


def offer(outbox: Outbox, notices: Sequence[Notice]) -> None:
    for each in notices:
        outbox.offer(each)


def made(*channels: Fake) -> Outbox:
    return Outbox(channels, Metrics(), retry_seconds=0.01)


def test_each_notice_goes_to_those_it_names_once() -> None:
    async def run() -> None:
        chat, pager = Fake("chat"), Fake("pager")
        outbox = made(chat, pager)
        outbox.start()
        first, last = story()
        offer(outbox, [first, notice(last.alert, Why.RESOLVED, ["chat", "gone"])])
        outbox.go()
        await until(lambda: len(chat.taken) == 2 and len(pager.taken) == 1)
        assert outbox.waiting() == 0
        await outbox.stop()
        assert chat.taken == [("k1", "firing"), ("k1", "resolved")]
        assert pager.taken == [("k1", "firing")]

    asyncio.run(run())


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
        async def send(self, notice: Notice) -> None:
            if self.tried < 2:
                self.tried += 1
                raise RuntimeError("https://user:secret@example.org")
            await super().send(notice)

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
        offer(after, story()[1:])
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
    first, second, _ = alerts()
    newer = second.model_copy(update={"excess_usd": Decimal(77)})

    async def run() -> None:
        heard: list[Decimal] = []
        chat = Fake()
        chat.refuse = lambda alert: heard.append(alert.excess_usd) or alert.excess_usd != 77  # type: ignore[func-returns-value]
        outbox = made(chat)
        outbox.start()
        offer(outbox, [notice(first)])
        outbox.go()
        await until(lambda: chat.tried > 0)
        outbox.refresh(newer)
        await until(lambda: len(chat.taken) == 1)
        await outbox.stop()

    asyncio.run(run())


def test_what_fires_is_said_again_where_a_channel_needs_it_and_was_told_of_it() -> None:
    async def run() -> None:
        chat, manager = Fake("chat"), FakeManager("manager")
        outbox = made(chat, manager)
        outbox.start()
        first, last = story()
        offer(outbox, [first, notice(alerts("k2")[0], to=["chat"])])
        outbox.go()
        await until(lambda: manager.taken.count(("k1", "again")) >= 3)
        outbox.offer(last)
        outbox.go()
        await until(lambda: ("k1", "resolved") in manager.taken)
        again = len(manager.taken)
        await asyncio.sleep(0.1)
        await outbox.stop()
        assert len(manager.taken) == again, "what is resolved is left alone"
        assert {key for key, _ in manager.taken} == {"k1"}
        assert chat.taken == [("k1", "firing"), ("k2", "firing"), ("k1", "resolved")]

    asyncio.run(run())


def test_what_fires_is_said_again_after_a_restart_too() -> None:
    async def run() -> None:
        before = made(FakeManager("manager"))
        offer(before, story()[:1])
        manager = FakeManager("manager")
        after = made(manager)
        after.restore(json.loads(json.dumps(before.snapshot())))
        after.start()
        await until(lambda: manager.taken.count(("k1", "again")) >= 2)
        await after.stop()

    asyncio.run(run())


def test_reminders_do_not_pile_up_where_nothing_is_taken() -> None:
    async def run() -> None:
        chat = Fake()
        chat.refuse = lambda _: True
        outbox = Outbox([chat], Metrics(), retry_seconds=30.0)
        outbox.start()
        first = alerts()[0]
        for number in range(5):
            outbox.offer(Notice(f"n{number}", Why.AGAIN if number else Why.FIRING, ("chat",), (first,),
                                AlertState.FIRING, at(number)))  # fmt: skip
            outbox.go()
        assert outbox.waiting() == 1
        await outbox.stop()

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
