"""The consumer groups that this process is in, written down, so that the next one can say that it has left them.

A broker waits for a member that died, up to `kafka.rebalance_timeout_seconds` in a rebalance, before anyone else gets
its partitions. A process holds the lock of a file of its own while it lives, and the system lets go of it however it
ends: who gets the lock next, on the same machine, knows that the members named in the file are dead.

All of it is a help. Where a folder knows no locks, or a broker does not answer, groups wait as they would without.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import orjson
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from streams.io.kafka import client_config
from streams.settings import Settings

LEAVE_SECONDS = 3.0  # for all of it; without an answer the broker waits as it would
MOST_WORKERS = 1_000  # of a deployment on one machine

log = structlog.get_logger(__name__)


class Memberships:
    """A file of this process's own in `folder`. `left`: what one that died wrote into it."""

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        self._written: dict[str, str] = {}
        self.left: dict[str, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _locked(folder)
            if self._file is not None:
                self.left = _read(self._file)
        except OSError as error:
            log.warning("memberships are not written down", error=type(error).__name__)

    def write(self, members: Mapping[str, str]) -> None:
        """Write down this process's id in each group, when it has changed."""
        if self._file is None or members == self._written:
            return
        self._written = dict(members)
        body = orjson.dumps(self._written)
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, body, 0)
        except OSError as error:
            log.warning("memberships are not written down", error=type(error).__name__)

    def close(self) -> None:
        """Called once the groups are left in order."""
        if self._file is not None:
            self.write({})
            os.close(self._file)
            self._file = None


def _locked(folder: Path) -> int | None:
    """The first file of this machine whose lock nobody holds; None where there is none."""
    for number in range(MOST_WORKERS):
        file = os.open(folder / f"{platform.node()}-{number}.json", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        except OSError:
            os.close(file)
            raise
        else:
            return file
    return None


def _read(file: int) -> dict[str, str]:
    """Groups and ids; nothing where a crash cut off the writing."""
    try:
        found = orjson.loads(os.pread(file, os.fstat(file).st_size, 0))
    except orjson.JSONDecodeError:
        return {}
    return {str(group): str(member) for group, member in found.items()} if isinstance(found, dict) else {}


async def take_leave(settings: Settings, members: Mapping[str, str]) -> None:
    """Tell the broker that these members, by their groups, are gone. One that it no longer knows is no trouble."""
    if not members:
        return
    client = AIOKafkaAdminClient(**client_config(settings.kafka), client_id="spendstream-leave")
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await client.start()
            for group, member in members.items():
                coordinator = await client.find_coordinator(group)
                # Nothing public of the client takes a member out of a group.
                await client._send_request_to_node(coordinator, LeaveGroupRequest(group, member))
        log.info("a worker that died has left its groups", groups=len(members))
    except (KafkaError, TimeoutError) as error:
        log.warning("a worker that died is still in its groups", error=type(error).__name__)
    finally:
        await client.close()
