"""Slow growth: the hours of today against the same hours of the days before."""

from __future__ import annotations

from itertools import pairwise
from math import log
from typing import Any

HOURS = 6  # judged together
FLOOR = log(1.5)
MARGIN = log(1.25)
STEP = 0.5  # log-ratio from one hour to the next: more is a jump, and no creep
KNOWN = 48  # hours of profile needed
NOISES = 4.0  # of these mean deviations a creep must be
NOISE_HOURS = 72
TINY = 1e-30  # stands for nothing, and for corrections that outweigh the hour
FADE = 1.0 - 1.0 / (14 * 24)  # of a record, per hour


class Creep:
    """Learns how far the hours of a series stray from those of the days before."""

    __slots__ = ("logs", "means", "noise", "record", "seen")

    def __init__(self) -> None:
        self.logs: list[float] = []  # of the newest hours: log(spent / usual)
        self.means: list[float] = []  # of the last day, not trusted as a record yet: a creep is slow
        self.record = 0.0
        self.noise = 0.0  # how far an ordinary hour is above the usual, in the mean
        self.seen = 0

    def hour(self, usd: float, usual: float, little: float) -> float:
        """Take in an hour; returns how unusual the newest hours are together: above 1 is."""
        if usual + little <= 0:
            return 0.0
        self.logs = [*self.logs[1 - 2 * HOURS :], log(max(usd + little, TINY) / (usual + little))]
        if len(self.logs) < 2 * HOURS:
            return 0.0
        newest, before = self.logs[HOURS:], self.logs[:HOURS]
        mean = sum(newest) / HOURS
        score = mean / max(FLOOR, self.record + MARGIN, NOISES * self.noise)
        jump = max(later - earlier for earlier, later in pairwise(newest))
        slow = sum(before) / HOURS >= mean / 3 and min(newest) >= mean / 2 and jump <= STEP
        return score if slow else min(score, 1.0)

    def learn(self) -> None:
        """The newest hours were ordinary."""
        if self.logs:
            self.seen += 1
            self.noise += max(1.0 / self.seen, 1.0 / NOISE_HOURS) * (max(0.0, self.logs[-1]) - self.noise)
        if len(self.logs) >= HOURS:
            self.means.append(sum(self.logs[-HOURS:]) / HOURS)
            if len(self.means) > 24:
                self.record = max(self.record * FADE, self.means.pop(0))

    def met(self, height: float) -> None:
        """A creep of that log-ratio is over: the next must be higher to be told."""
        self.record = max(self.record, height)
        self.logs, self.means = [], []

    def reset(self) -> None:
        """A new level is normal."""
        self.logs, self.means = [], []

    def to_json(self) -> list[Any]:
        return [self.logs, self.means, self.record, self.noise, self.seen]

    @classmethod
    def from_json(cls, state: list[Any]) -> Creep:
        creep = cls()
        creep.logs, creep.means, creep.record, creep.noise, creep.seen = list(state[0]), list(state[1]), *state[2:]
        return creep
