"""Slow growth: the hours of today against the same hours of the days before."""

from __future__ import annotations

from math import log
from typing import Any

HOURS = 4  # judged together
FLOOR = log(1.5)
MARGIN = log(1.25)
KNOWN = 48  # hours of profile needed
NOISES = 2.5  # mean deviations of an hour
NOISE_HOURS = 72
FADE = 1.0 - 1.0 / (14 * 24)  # of a record, per hour


class Creep:
    """Learns how far the hours of a series stray from those of the days before."""

    __slots__ = ("logs", "noise", "record", "seen")

    def __init__(self) -> None:
        self.logs: list[float] = []  # of the newest hours: log(spent / usual)
        self.record = 0.0
        self.noise = 0.0  # mean absolute log of an ordinary hour
        self.seen = 0

    def hour(self, usd: float, usual: float, little: float) -> float:
        """Take in an hour; returns how unusual the newest hours are together: above 1 is."""
        if usual + little <= 0:
            return 0.0
        self.logs = [*self.logs[1 - HOURS :], log((usd + little) / (usual + little))]
        if len(self.logs) < HOURS:
            return 0.0
        mean = sum(self.logs) / HOURS
        score = mean / max(FLOOR, self.record + MARGIN, NOISES * self.noise)
        if min(self.logs) < 0.5 * mean:
            score = min(score, 1.0)
        return score

    def learn(self) -> None:
        """The newest hours were ordinary."""
        if self.logs:
            self.seen += 1
            self.noise += max(1.0 / self.seen, 1.0 / NOISE_HOURS) * (abs(self.logs[-1]) - self.noise)
        if len(self.logs) == HOURS:
            self.record = max(self.record * FADE, sum(self.logs) / HOURS)

    def reset(self) -> None:
        """A new level is normal."""
        self.logs = []

    def to_json(self) -> list[Any]:
        return [self.logs, self.record, self.noise, self.seen]

    @classmethod
    def from_json(cls, state: list[Any]) -> Creep:
        creep = cls()
        creep.logs, creep.record, creep.noise, creep.seen = list(state[0]), *state[1:]
        return creep
