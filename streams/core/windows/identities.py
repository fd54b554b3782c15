"""A set of 64-bit identities in 8 bytes each: a busy hour has tens of millions, and a set of numbers takes 80 bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streams.core.columns.block import Mask

Keys: TypeAlias = npt.NDArray[np.uint64]

NEWEST = 1 << 16  # identities that are kept as a set, and then become a sorted run
# A run is at least so many times as long as the one after it: few are looked through, and merging stays rare.
FACTOR = 4


class Identities:
    """What was added, once."""

    __slots__ = ("_newest", "_runs")

    def __init__(self) -> None:
        self._newest: set[int] = set()
        self._runs: list[Keys] = []

    def __len__(self) -> int:
        return len(self._newest) + sum(map(len, self._runs))

    def has(self, keys: Keys) -> Mask:
        """Which of the keys are in it."""
        found = np.fromiter(map(self._newest.__contains__, keys.tolist()), dtype=np.bool_, count=len(keys))
        for run in self._runs:
            at = np.searchsorted(run, keys)
            found |= run[np.minimum(at, len(run) - 1)] == keys
        return found

    def add(self, keys: Keys) -> Mask:
        """Add the keys; returns which of them were not in it, of equal ones the first."""
        once, first = np.unique(keys, return_index=True)  # in order they are found sooner, too
        unknown = ~self.has(once)
        new = np.zeros(len(keys), dtype=np.bool_)
        new[first[unknown]] = True
        self._newest.update(once[unknown].tolist())
        if len(self._newest) >= NEWEST:
            self._settle()
        return new

    def packed(self) -> str:
        """All of them in order, for `unpacked`."""
        self._settle()
        return b64encode(_merged(self._runs).astype("<u8").tobytes()).decode()

    @classmethod
    def unpacked(cls, text: str) -> Identities:
        """The reverse of `packed`."""
        found = cls()
        run = np.unique(np.frombuffer(b64decode(text), dtype="<u8"))
        if len(run):
            found._runs = [run]
        return found

    def update(self, other: Identities) -> None:
        """Add all of the other's."""
        for keys in (*other._runs, np.array(sorted(other._newest), dtype=np.uint64)):
            self.add(keys)

    def _settle(self) -> None:
        if not self._newest:
            return
        runs = [np.sort(np.fromiter(self._newest, dtype=np.uint64, count=len(self._newest)))]
        self._newest.clear()
        while self._runs and len(self._runs[-1]) < FACTOR * sum(map(len, runs)):
            runs.append(self._runs.pop())
        self._runs.append(_merged(runs))


def _merged(runs: list[Keys]) -> Keys:
    """Runs as one: a stable sort knows what is in order already."""
    return np.sort(np.concatenate([np.zeros(0, dtype=np.uint64), *runs]), kind="stable")
