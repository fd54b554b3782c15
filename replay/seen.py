"""Which events a history has shown already: exact, in bounded memory.

An event that is told twice carries the same time, so it is looked for among those of its hour alone. What lies in hours
that were not asked for lately waits in a temporary file without a name, which the system removes with the process.
"""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from typing import IO

SIZE = 16  # bytes of an event's digest
MOST = 500_000  # digests in memory, about 100 bytes each; more only where a single hour has more


class Seen:
    """The identities of events, by hour of event time. Close it, or use it as long as the process lives."""

    def __init__(self, most: int = MOST) -> None:
        self.journal: IO[bytes] | None = None  # where what is new is written down, for `recall`
        self._most = most
        self._held = 0
        self._hours: OrderedDict[int, set[bytes]] = OrderedDict()  # the least recently asked for first
        self._away: dict[int, tuple[int, int]] = {}  # hour -> where in the file, and how many bytes
        self._file: IO[bytes] | None = None

    def new(self, identities: Sequence[bytes], hours: Sequence[int]) -> list[bool]:
        """Of each event whether it was not asked for before; all of them are known from now on.

        `hours` are those of event time, counted from 1970.
        """
        fresh = [self._is_new(digest, hour) for digest, hour in zip(identities, hours, strict=True)]
        if self.journal is not None:
            for is_new, digest, hour in zip(fresh, identities, hours, strict=True):
                if is_new:
                    self.journal.write(hour.to_bytes(8, "little", signed=True) + digest)
        return fresh

    def recall(self, journal: IO[bytes]) -> None:
        """Know what was written down from where the file stands to its end."""
        while record := journal.read(8 + SIZE):
            self._is_new(record[8:], int.from_bytes(record[:8], "little", signed=True))

    def close(self) -> None:
        """Gives the file back."""
        if self._file is not None:
            self._file.close()

    def _is_new(self, digest: bytes, hour: int) -> bool:
        known = self._of(hour)
        before = len(known)
        known.add(digest)
        is_new = len(known) > before
        self._held += is_new
        if self._held > self._most and len(self._hours) > 1:
            self._put_away()
        return is_new

    def _of(self, hour: int) -> set[bytes]:
        known = self._hours.get(hour)
        if known is not None:
            self._hours.move_to_end(hour)
            return known
        known = self._hours[hour] = self._fetched(hour)
        self._held += len(known)
        return known

    def _fetched(self, hour: int) -> set[bytes]:
        if hour not in self._away or self._file is None:
            return set()
        start, length = self._away.pop(hour)
        packed = os.pread(self._file.fileno(), length, start)
        return {packed[at : at + SIZE] for at in range(0, length, SIZE)}

    def _put_away(self) -> None:
        """The hours that were not asked for the longest, until half of what may be held is free."""
        file = self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  held until `close`
        while self._held > self._most // 2 and len(self._hours) > 1:
            hour, known = self._hours.popitem(last=False)
            packed = b"".join(known)
            self._away[hour] = (file.tell(), len(packed))
            file.write(packed)
            self._held -= len(known)
        file.flush()
