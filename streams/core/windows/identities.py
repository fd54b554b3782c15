"""A set of 64-bit identities in 8 bytes each: a busy hour has tens of millions, and a set of numbers takes 80 bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streams.core.columns.block import Mask

Keys: TypeAlias = npt.NDArray[np.uint64]

# A run is at least so many times as long as the one after it: few are looked through, and merging stays rare.
FACTOR = 8


class Identities:
    """What was added, once: sorted runs, the newest last."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def has(self, keys: Keys) -> Mask:
        """Which of the keys are in it; of keys in order that is known sooner."""
        found = np.zeros(len(keys), dtype=np.bool_)
        for run in self._runs:
            at = np.searchsorted(run, keys)
            found |= run[np.minimum(at, len(run) - 1)] == keys
        return found

    def add(self, keys: Keys) -> Mask:
        """Add the keys; returns which of them were not in it, of equal ones the first."""
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        unknown = ~self.has(ranked)
        unknown[1:] &= ranked[1:] != ranked[:-1]
        new = np.empty(len(keys), dtype=np.bool_)
        new[order] = unknown
        self._put(ranked[unknown])
        return new

    def packed(self) -> str:
        """All of them in order, for `unpacked`."""
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
        for keys in other._runs:
            self.add(keys)

    def _put(self, run: Keys) -> None:
        """Take in a run of keys that are not in it."""
        runs, count = [run], len(run)
        if not count:
            return
        while self._runs and len(self._runs[-1]) < FACTOR * count:
            runs.append(self._runs.pop())
            count += len(runs[-1])
        self._runs.append(_merged(runs))


def _merged(runs: list[Keys]) -> Keys:
    """Runs as one: a stable sort knows what is in order already."""
    return np.sort(np.concatenate([np.zeros(0, dtype=np.uint64), *runs]), kind="stable")
