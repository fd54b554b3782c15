"""What remedies do to LiteLLM and Kubernetes, over real HTTP: looked at, done, undone, repeated, and when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from streams.core.remedy.ledger import Order, Result
from streams.io.actions.base import ActionAway, ActionError, Actuator
from streams.io.actions.kubernetes import KubernetesActuator
from streams.io.actions.litellm import LitellmActuator
from streams.settings_remedies import Kubernetes, Litellm
from streams.stages.remedying import Remedying
from tests.support.oncall import alert
from tests.support.outside import Outside, outside

KEPT_IN = "TOKEN_OUTSIDE"
SCALE = "/apis/apps/v1/namespaces/ml/deployments/train/scale"
Step = Literal["look", "do", "undo"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with outside() as made:
        monkeypatch.setenv(KEPT_IN, made.token)
        made.keys["k1"] = {"blocked": None, "max_budget": 100.0, "spend": 40.5}
        made.keys["free"] = {"blocked": False, "max_budget": None, "spend": 1.0}
        made.scales[SCALE] = 8
        yield made


def actuator(world: Outside, action: str) -> Actuator:
    if action == "kubernetes_scale":
        return KubernetesActuator(Kubernetes(url=world.url, token_env=KEPT_IN), 0.5)
    return LitellmActuator(Litellm(url=world.url, token_env=KEPT_IN), 0.5)


def order(step: Step, action: str, target: str, undo: Mapping[str, str] | None = None) -> Order:
    return Order("re-1", step, action, target, {"budget_usd": "5", "replicas": "1"}, undo or {}, alert())


async def whole(tool: Actuator, action: str, target: str, *, undo: bool) -> Mapping[str, str]:
    """Look, do and undo, each of them twice."""
    found = await tool.look(order("look", action, target))
    for _ in range(2):
        await tool.do(order("do", action, target, found))
    if undo:
        for _ in range(2):
            await tool.undo(order("undo", action, target, found))
    return found


def run(world: Outside, action: str, target: str, *, undo: bool = False) -> Mapping[str, str]:
    async def go() -> Mapping[str, str]:
        tool = actuator(world, action)
        try:
            return await whole(tool, action, target, undo=undo)
        finally:
            await tool.close()

    return asyncio.run(go())


def test_a_key_is_blocked_and_unblocked(world: Outside) -> None:
    assert run(world, "litellm_block_key", "k1") == {"blocked": "false"}
    assert world.keys["k1"]["blocked"] is True
    world.keys["k1"]["blocked"] = False
    run(world, "litellm_block_key", "k1", undo=True)
    assert world.keys["k1"]["blocked"] is False


def test_a_key_that_somebody_had_blocked_stays_blocked(world: Outside) -> None:
    world.keys["k1"]["blocked"] = True
    run(world, "litellm_block_key", "k1", undo=True)
    assert world.keys["k1"]["blocked"] is True


@pytest.mark.parametrize(("key", "lowered", "before"), [("k1", 45.5, 100.0), ("free", 6.0, None)])
def test_a_budget_is_lowered_to_what_is_left_to_spend_and_restored(
    world: Outside, key: str, lowered: float, before: float | None
) -> None:
    found = run(world, "litellm_lower_budget", key)
    assert world.keys[key]["max_budget"] == lowered
    world.keys[key]["spend"] += 3  # a repeat after a crash must not count it in
    asyncio.run(_do(world, found, key))
    assert world.keys[key]["max_budget"] == lowered
    world.keys[key] |= {"max_budget": before, "spend": lowered - 5}
    run(world, "litellm_lower_budget", key, undo=True)
    assert world.keys[key]["max_budget"] == before


async def _do(world: Outside, found: Mapping[str, str], key: str) -> None:
    tool = actuator(world, "litellm_lower_budget")
    await tool.do(order("do", "litellm_lower_budget", key, found))
    await tool.close()


def test_a_budget_is_never_raised(world: Outside) -> None:
    world.keys["k1"]["max_budget"] = 41.0
    with pytest.raises(ActionError, match="not above"):
        run(world, "litellm_lower_budget", "k1")
    assert world.keys["k1"]["max_budget"] == 41.0


def test_a_workload_is_scaled_down_and_back(world: Outside) -> None:
    assert run(world, "kubernetes_scale", "ml/deployments/train") == {"replicas": "8"}
    assert world.scales[SCALE] == 1
    world.scales[SCALE] = 8
    run(world, "kubernetes_scale", "ml/deployments/train", undo=True)
    assert world.scales[SCALE] == 8


def test_a_workload_is_never_scaled_up(world: Outside) -> None:
    world.scales[SCALE] = 0
    run(world, "kubernetes_scale", "ml/deployments/train")
    assert world.scales[SCALE] == 0


@pytest.mark.parametrize("action", ["kubernetes_scale", "litellm_lower_budget"])
def test_what_somebody_else_changed_since_is_left_alone(world: Outside, action: str) -> None:
    target = "ml/deployments/train" if action == "kubernetes_scale" else "k1"

    async def go() -> None:
        tool = actuator(world, action)
        found = await whole(tool, action, target, undo=False)
        world.scales[SCALE] = 3
        world.keys["k1"]["max_budget"] = 7.0
        with pytest.raises(ActionError, match="somebody else"):
            await tool.undo(order("undo", action, target, found))
        await tool.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    "target",
    ["../secrets/x", "ml/deployments/../../secrets", "ml/pods/x", "ml/deployments/a?b", "ml/deployments/A", "x"],
)
def test_a_target_made_of_tags_leads_nowhere_else(world: Outside, target: str) -> None:
    with pytest.raises(ActionError, match="the target is no namespace"):
        run(world, "kubernetes_scale", target)
    assert world.calls == []


def test_a_refusal_is_an_error_that_lasts_and_an_outage_one_that_passes(world: Outside) -> None:
    with pytest.raises(ActionError, match=r"^LiteLLM answered 404$") as refused:
        run(world, "litellm_block_key", "unknown")
    assert not isinstance(refused.value, ActionAway)
    world.fails = [500]
    with pytest.raises(ActionAway, match=r"^LiteLLM answered 500$"):
        run(world, "litellm_block_key", "k1")
    world.slow = 2.0
    with pytest.raises(ActionAway, match="ReadTimeout"):
        run(world, "litellm_block_key", "k1")


def test_a_token_is_read_anew_and_needed(world: Outside, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"remedies\.litellm token"):
        LitellmActuator(Litellm(url=world.url), 1.0)
    file = tmp_path / "token"
    file.write_text("old-token")

    async def go() -> None:
        tool = KubernetesActuator(Kubernetes(url=world.url, token_file=file), 0.5)
        with pytest.raises(ActionError, match="answered 401"):
            await tool.look(order("look", "kubernetes_scale", "ml/deployments/train"))
        file.write_text(world.token + "\n")
        assert await tool.look(order("look", "kubernetes_scale", "ml/deployments/train")) == {"replicas": "8"}
        await tool.close()

    asyncio.run(go())


def carried_out(world: Outside, each: Order, attempts: int = 3) -> Result:
    async def go() -> Result:
        tool, finished = actuator(world, each.action), asyncio.Event()
        runner = Remedying({each.action: tool}, attempts=attempts, retry_seconds=0.01, finished=finished.set)
        runner.take([each, each])
        async with asyncio.timeout(20):
            await finished.wait()
        await tool.close()
        (result,) = runner.results()
        return result

    return asyncio.run(go())


def test_what_passes_is_tried_again_also_when_it_had_taken_effect(world: Outside) -> None:
    world.fails, world.acts_first = [500, 503], True
    assert carried_out(world, order("do", "litellm_block_key", "k1", {"blocked": "false"})) == Result("re-1:do")
    assert world.calls == ["POST /key/block"] * 3
    assert world.keys["k1"]["blocked"] is True


def test_attempts_are_bounded_and_the_problem_is_told_without_what_was_answered(world: Outside) -> None:
    world.fails = [500] * 10
    result = carried_out(world, order("do", "litellm_block_key", "k1", {"blocked": "false"}))
    assert result.problem == "LiteLLM answered 500; tried 3 times"
    assert len(world.calls) == 3


def test_a_refusal_is_not_tried_again(world: Outside) -> None:
    result = carried_out(world, order("look", "litellm_block_key", "unknown"))
    assert (result.problem, len(world.calls)) == ("LiteLLM answered 404", 1)


def test_an_answer_of_another_shape_does_nothing(world: Outside) -> None:
    class Odd(LitellmActuator):
        async def look(self, order: Order) -> Any:
            raise KeyError(f"sk-SECRET of {order.target}")

    async def go() -> Result:
        tool = Odd(Litellm(url=world.url, token_env=KEPT_IN), 0.5)
        finished = asyncio.Event()
        runner = Remedying({"litellm_block_key": tool}, attempts=2, retry_seconds=0.01, finished=finished.set)
        runner.take([order("look", "litellm_block_key", "k1")])
        await finished.wait()
        await tool.close()
        return runner.results()[0]

    assert asyncio.run(go()).problem == "it failed: KeyError"
