"""What goes on beside a fault, from its beginning to its end."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Self


class Beside(ABC):
    """`run` goes on in a task of its own while inside `async with`."""

    @abstractmethod
    async def run(self) -> None:
        """Go on until cancelled."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
