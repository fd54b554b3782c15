"""What an actuator is, and how an HTTP answer becomes an outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx

from streams.core.remedy.ledger import Order

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class ActionError(Exception):
    """It was refused, and will be again. The text holds no secret and nothing of what was answered."""


class ActionAway(ActionError):  # noqa: N818  an outcome
    """Nobody answered, or with an error that may pass. Whether it took effect is not known; repeating it is right."""


class Actuator(Protocol):
    """One outside system. Each call may be repeated, is bounded in time, and raises ActionError or ActionAway."""

    async def look(self, order: Order) -> Mapping[str, str]:
        """What the target is now: all that `undo` will need. Not empty. Changes nothing."""

    async def do(self, order: Order) -> None:
        """Bring the target to what the order says."""

    async def undo(self, order: Order) -> None:
        """Bring it back to what `order.undo` says it was."""

    async def close(self) -> None:
        """Let go of connections."""


@asynccontextmanager
async def answering(system: str) -> AsyncIterator[None]:
    """Errors of an HTTP client as outcomes, without URL and body."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        kind = ActionAway if status in PASSING else ActionError
        raise kind(f"{system} answered {status}") from None
    except httpx.HTTPError as error:
        raise ActionAway(f"{system}: {type(error).__name__}") from None


def field(body: Any, *names: str) -> Any:
    """A field of a JSON body. Raises ActionError when it isn't there: better nothing is done than something else."""
    for name in names:
        if not isinstance(body, dict) or name not in body:
            raise ActionError(f"the answer has no {'.'.join(names)}")
        body = body[name]
    return body
