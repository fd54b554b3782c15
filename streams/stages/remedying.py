"""Carries out the orders of the ledger, after the checkpoint that holds them, and hands back what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from streams.core.remedy.ledger import Order, Result
from streams.io.actions.base import ActionAway, ActionError, Actuator

log = structlog.get_logger(__name__)


class Remedying:
    """Orders under way, of one partition. Each is tried until it is answered for good, or `attempts` are used up."""

    def __init__(
        self,
        actuators: Mapping[str, Actuator],
        *,
        attempts: int,
        retry_seconds: float,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._actuators = actuators
        self._attempts = attempts
        self._retry_seconds = retry_seconds
        self._finished = finished
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._results: dict[str, Result] = {}

    def take(self, orders: Iterable[Order]) -> None:
        """Begin what is not under way yet. Called when the orders are in a checkpoint."""
        for order in orders:
            if order.key not in self._tasks and order.key not in self._results:
                self._tasks[order.key] = asyncio.create_task(self._carry_out(order))

    def results(self) -> list[Result]:
        """What has been answered since the last call."""
        found, self._results = list(self._results.values()), {}
        return found

    async def stop(self) -> None:
        """Give up what is under way: the ledger's checkpoint has it, and the next owner repeats it."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, order: Order) -> None:
        result = await self._result(order)
        self._tasks.pop(order.key, None)
        self._results[order.key] = result
        self._finished()

    async def _result(self, order: Order) -> Result:
        actuator = self._actuators.get(order.action)
        if actuator is None:
            return Result(order.key, problem=f"{order.action} is not set up any more")
        for attempt in range(1, self._attempts + 1):
            try:
                return await _step(actuator, order)
            except ActionAway as error:
                problem = f"{error}; tried {attempt} times"
                log.warning("remedy is not done yet", remedy_id=order.remedy_id, step=order.step, problem=problem)
                if attempt < self._attempts:
                    await asyncio.sleep(self._retry_seconds * 2 ** (attempt - 1))
            except ActionError as error:
                return Result(order.key, problem=str(error))
            except Exception as error:  # a fault of ours ends this remedy, not the stage; its text may hold a secret
                log.error("remedy failed", remedy_id=order.remedy_id, step=order.step, error=type(error).__name__)
                return Result(order.key, problem=f"it failed: {type(error).__name__}")
        return Result(order.key, problem=problem)


async def _step(actuator: Actuator, order: Order) -> Result:
    if order.step == "look":
        return Result(order.key, found=await actuator.look(order))
    await (actuator.do if order.step == "do" else actuator.undo)(order)
    return Result(order.key)
