"""Remedies in the alert stage on a broker: approved, automatic, through a crash between intent and result, measured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from schemas.oncall import RemedyChange, RemedyState
from schemas.topics import REMEDIES
from schemas.watch import Finding, Mark
from streams.core.remedy.ledger import Order
from streams.core.remedy.policies import remedy_id
from streams.io.actions.base import Actuator
from streams.io.actions.litellm import LitellmActuator
from streams.io.embedded import EmbeddedBroker
from streams.io.topics import create_topics
from streams.settings import Settings
from streams.settings_remedies import Litellm
from streams.stages.alert import AlertService, Answering
from streams.stages.sending import Send
from tests.support.alerting import publish, running, until, written
from tests.support.findings import driver, finding, mark
from tests.support.kafka import settings_for
from tests.support.oncall import action
from tests.support.outside import Outside, outside

KEPT_IN = "TOKEN_OUTSIDE"
CELL = {"principal": "k1", "environment": "staging"}
BEGIN: list[Finding | Mark] = [finding({"principal": "k1"}, 10.0, drivers=[driver(1.0, **CELL)]), mark(1)]
END: list[Finding | Mark] = [
    finding({"principal": "k1"}, 11.0, drivers=[driver(1.0, **CELL)], revision=1, closed=6),
    mark(7),
]
POLICY = {"name": "block", "action": "litellm_block_key", "target": "{principal}", "mode": "approve"}
S = RemedyState


class CrashError(Exception):
    """What a bug would raise."""


class Crashing(AlertService):
    """Crashes when it reads `POISON`, without a last checkpoint of what is under way."""

    POISON = b"poison"

    def process(self, state: Answering, records: Sequence[ConsumerRecord]) -> Sequence[Send]:
        if any(record.value == self.POISON for record in records):
            raise CrashError
        return super().process(state, records)


class Hanging(LitellmActuator):
    """Does what it is told, and never hears that it is done."""

    async def do(self, order: Order) -> None:
        await super().do(order)
        await asyncio.Event().wait()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with outside() as made:
        monkeypatch.setenv(KEPT_IN, made.token)
        made.keys["k1"] = {"blocked": False, "max_budget": None, "spend": 1.0}
        yield made


def configured(broker: EmbeddedBroker, world: Outside, **policy: Any) -> Settings:
    settings = settings_for(
        broker,
        alerts={"hold_seconds": 60.0},
        remedies={
            "policies": [POLICY | policy],
            "litellm": {"url": world.url, "token_env": KEPT_IN},
            "measure_seconds": 1.0,
            "retry_seconds": 0.05,
        },
    )
    asyncio.run(create_topics(settings))
    return settings


def states(changes: Sequence[RemedyChange]) -> list[RemedyState]:
    return [change.state for change in changes]


async def changes_of(settings: Settings, count: int) -> list[RemedyChange]:
    return await written(settings, REMEDIES, RemedyChange, count)


def asked(what: str, alert_id: str, minutes: float = 5) -> Any:
    return action(what, minutes, alert_id=alert_id, remedy_id=remedy_id(alert_id, "block"), at=datetime.now(UTC))


def test_a_remedy_is_proposed_approved_done_measured_and_undone(
    broker: EmbeddedBroker, world: Outside, tmp_path: Path
) -> None:
    settings = configured(broker, world)

    async def run() -> list[RemedyChange]:
        async with running(settings, tmp_path) as service:
            await publish(settings, BEGIN)
            (proposed,) = await changes_of(settings, 1)
            assert (proposed.state, proposed.target, world.calls) == (S.PROPOSED, "k1", [])
            await publish(settings, [asked("approve_remedy", proposed.alert_id)] * 2)
            await until(lambda: world.keys["k1"]["blocked"])
            await publish(settings, END)
            measured = await changes_of(settings, 5)
            assert measured[-1].state is S.MEASURED
            await publish(settings, [asked("undo_remedy", proposed.alert_id, 6)])
            await until(lambda: not world.keys["k1"]["blocked"])
            await until(lambda: service.progress().lag == 0)
            return await changes_of(settings, 7)

    found = asyncio.run(run())
    assert states(found) == [S.PROPOSED, S.APPROVED, S.STARTED, S.DONE, S.MEASURED, S.UNDOING, S.UNDONE]
    assert [change.number for change in found] == [1, 2, 3, 4, 5, 6, 7]
    assert found[2].undo == {"blocked": "false"}
    assert found[4].avoided_usd is not None
    assert world.calls == ["GET /key/info", "POST /key/block", "POST /key/unblock"]


def test_automatic_ones_run_where_they_may_and_nothing_else_does(
    broker: EmbeddedBroker, world: Outside, tmp_path: Path
) -> None:
    settings = configured(broker, world, mode="automatic", automatic_environments=["staging"])
    world.keys["k2"] = {"blocked": False}
    other = finding({"principal": "k2"}, 10.0, drivers=[driver(1.0, principal="k2", environment="prod")])

    async def run() -> None:
        async with running(settings, tmp_path):
            await publish(settings, [*BEGIN[:-1], other, BEGIN[-1]])
            await until(lambda: world.keys["k1"]["blocked"])
            found = await changes_of(settings, 4)
            assert {change.target: change.state for change in found if change.number == 1} == {
                "k1": S.APPROVED,
                "k2": S.HELD,
            }

    asyncio.run(run())
    assert not world.keys["k2"]["blocked"]


def test_a_crash_between_intent_and_result_repeats_the_same_and_loses_no_undo(
    broker: EmbeddedBroker, world: Outside, tmp_path: Path
) -> None:
    settings = configured(broker, world, mode="automatic", automatic_environments=["staging"])
    hanging: Mapping[str, Actuator] = {}

    async def run() -> list[RemedyChange]:
        nonlocal hanging
        hanging = {"litellm_block_key": Hanging(Litellm(url=world.url, token_env=KEPT_IN), 5.0)}
        async with running(settings, tmp_path, Crashing, actuators=hanging) as service:
            await publish(settings, BEGIN)
            await until(lambda: bool(world.keys["k1"]["blocked"]))
            await publish(settings, [Crashing.POISON])
            await until(lambda: service.crashed)
        async with running(settings, tmp_path):
            await until(lambda: world.calls.count("POST /key/block") == 2)
            found = await changes_of(settings, 3)
            await publish(settings, [asked("undo_remedy", found[0].alert_id)])
            await until(lambda: not world.keys["k1"]["blocked"])
            return await changes_of(settings, 5)

    found = asyncio.run(run())
    by_number = {change.number: change.state for change in found}
    assert list(by_number.values())[:3] == [S.APPROVED, S.STARTED, S.DONE]
    assert world.calls.count("GET /key/info") == 1, "what it was is not looked at again: it is our own block by then"
    assert world.keys["k1"]["blocked"] is False


def test_an_outage_is_told_and_tried_again_by_whoever_approves_again(
    broker: EmbeddedBroker, world: Outside, tmp_path: Path
) -> None:
    settings = configured(broker, world)
    world.fails = [500] * 5

    async def run() -> list[RemedyChange]:
        async with running(settings, tmp_path):
            await publish(settings, BEGIN)
            (proposed,) = await changes_of(settings, 1)
            await publish(settings, [asked("approve_remedy", proposed.alert_id)])
            assert (await changes_of(settings, 3))[-1].note == "LiteLLM answered 500; tried 5 times"
            await publish(settings, [asked("approve_remedy", proposed.alert_id, 6)])
            await until(lambda: bool(world.keys["k1"]["blocked"]))
            return await changes_of(settings, 6)

    assert states(asyncio.run(run()))[:6] == [S.PROPOSED, S.APPROVED, S.FAILED, S.APPROVED, S.STARTED, S.DONE]
