"""What every anomaly detector promises, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeGuard

from river import base

Snapshot: TypeAlias = dict[str, Any]

# Beyond this a squared error or its variance leaves the range of a float, and infinity would be learnt for ever.
LARGEST = 1e60
LATEST = 1e12  # epoch seconds; a later time is milliseconds by mistake


class State(StrEnum):
    """What a detector can say of a point. Warming and unscored points never alert."""

    WARMING = "warming"  # too little history to judge
    NORMAL = "normal"
    ANOMALOUS = "anomalous"  # score > 1, whether or not it also alerts
    UNSCORED = "unscored"  # missing, not finite or out of range: neither judged nor learnt


class Verdict(NamedTuple):
    """What a detector says of one point, from what it knew before that point."""

    score: float  # >= 0 and finite; above 1 is anomalous
    alert: bool  # worth telling someone: anomalous, and outside the quiet time after the previous alert
    expected: float  # in the series' own unit
    state: State


class SnapshotError(ValueError):
    """A snapshot that this detector cannot continue from: rebuild the series by replay."""


class Detector(base.Base, ABC):
    """Watches one series.

    Called once per closed window, in time order, by one caller. Never blocks, does no I/O and reads no clock: equal
    inputs give equal outputs. Memory is bounded, however long the series gets.
    """

    name: ClassVar[str]  # stable: it is written into snapshots
    version: ClassVar[int]  # raised when the meaning of the snapshot changes

    @abstractmethod
    def update(self, at: float, value: float | None) -> Verdict:
        """Score a point with the state before it, then learn it.

        `at` is the window's start in epoch seconds UTC, `value` the sum in the series' unit. Never raises: a value
        that is missing, not finite or beyond `LARGEST` (or a time beyond `LATEST`) is `UNSCORED` and leaves no trace.
        """

    @abstractmethod
    def band(self, at: float) -> tuple[float, float]:
        """What a point at `at` may be, from low to high in the series' own unit, and still be usual.

        Asked before `update`, for a picture: what is expected then lies within, once anything is known. To ask changes
        nothing, and may take longer than an update, for which it is not worked out. Never raises.
        """

    @abstractmethod
    def state_dict(self) -> Snapshot:
        """All that was learnt, as JSON types only: floats survive JSON exactly, and loading it runs no code."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. May raise KeyError, TypeError or ValueError on anything else."""

    def snapshot(self) -> Snapshot:
        """The whole state as a JSON-able dict; restored into an equal detector it continues bit for bit."""
        return {"detector": self.name, "version": self.version, "config": self.config(), "state": self.state_dict()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Continue from a snapshot.

        Raises `SnapshotError` when it is of another detector, version or configuration, or damaged: throw the
        detector away then, it may have taken over a part.
        """
        for key, mine in (("detector", self.name), ("version", self.version), ("config", self.config())):
            if snapshot.get(key) != mine:
                raise SnapshotError(f"snapshot {key} is {snapshot.get(key)!r}, this detector has {mine!r}")
        try:
            self.load_state(snapshot["state"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SnapshotError(f"snapshot state of {self.name} does not fit: {error!r}") from error

    def config(self) -> Any:
        """What must be equal for a snapshot to fit (buffer lengths, seeds), as JSON types. Default: nothing."""
        return None


def scorable(value: float | None, at: float) -> TypeGuard[float]:
    """Whether a point may be scored and learnt."""
    return value is not None and -LARGEST < value < LARGEST and -LATEST < at < LATEST  # a NaN is in no range


def unscored(expected: float) -> Verdict:
    """The answer to a value that cannot be judged."""
    return Verdict(0.0, False, expected, State.UNSCORED)
