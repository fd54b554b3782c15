"""Slow growth: the hours of today against the same hours of the days before."""

from __future__ import annotations

from array import array
from math import log
from statistics import median
from typing import Any

from streams.core.detect.slope import is_slope

SPANS = (3, 6)  # hours, judged together
FLOORS = (0.5, 0.33)  # log-ratio, per span: never call less than this a creep
MARGINS = (0.2, 0.15)  # how far beyond the record, per span
NOISES = 3.0  # of these mean deviations a creep must be,
NOISES_SURE = 2.5  # or so many, once they are
SURE = 5 * 24  # ordinary hours that must have been seen: a week, without what a profile needs and what was unusual
LOWS = 3.0  # times as far above the usual as the newest hours were below it for long
NOISE_HOURS = 96
WILD = 2.0  # log-ratio: an hour that strays further says no more of the noise
KNOWN = 48  # hours of profile needed
HIGHER = log(2.0)  # to the highest that a span has been on ordinary days: clearly beyond, however far it strays
GENERATION = 7 * 24  # ordinary hours that such a height is kept, and once more
TRUST = 24  # hours after which a height is trusted as a record: a creep is slow
KEPT = 36  # hours that must show how the newest came to their height
LEAST = 12  # hours, else they show nothing
LOW = 4  # the lowest one of so many hours says how far a series falls for long
SPENT = 2 * SPANS[-1]  # hours: a span, and as many that must have passed before it is a height
NOTHING = [0.0] * len(SPANS)
FIELDS_V1, FIELDS_V2 = 5, 4  # of the state that release 0.1 wrote, and of the one before heights in dollars
TINY = 1e-30  # stands for nothing, and for corrections that outweigh the hour
FADE = 1.0 - 1.0 / (14 * 24)  # of a record, per hour


class Creep:
    """Learns how far the hours of a series stray from those of the days before, up or down.

    What strays by a factor every day has creeps of its own making: only what stands out of that is told, or what costs
    clearly more than that ever did.
    """

    __slots__ = ("heights", "logs", "noise", "past", "records", "seen", "spent")

    def __init__(self) -> None:
        self.logs = array("d")  # of the newest hours: log(spent / usual)
        self.spent = array("d")  # in them, USD
        self.heights = self.past = NOTHING  # the most per hour that each span has cost, in this generation and the last
        self.records = [0.0] * len(SPANS)
        self.noise = 0.0  # how far an ordinary hour is from the usual, in the mean
        self.seen = 0

    def hour(self, usd: float, usual: float, little: float) -> float:
        """Take in an hour; returns how unusual the newest hours are together: above 1 is."""
        if usual + little <= 0:
            return 0.0
        logs = self.logs
        logs.append(log(max(usd + little, TINY) / (usual + little)))
        self.spent.append(usd)
        del logs[:-KEPT], self.spent[:-SPENT]
        # The median, too: one burst makes no creep.
        means = [min(sum(logs[-span:]) / span, median(logs[-span:])) for span in SPANS]
        if len(logs) < LEAST or all(mean <= floor for mean, floor in zip(means, FLOORS, strict=True)):
            return 0.0
        noises = NOISES_SURE if self.seen >= SURE else NOISES
        restless = max(noises * self.noise, -LOWS * sorted(logs)[len(logs) // LOW])
        score = max(self._score(index, mean, restless) for index, mean in enumerate(means))
        return score if score <= 1.0 or is_slope(logs) else 1.0

    def _score(self, index: int, mean: float, restless: float) -> float:
        score = mean / max(FLOORS[index], self.records[index] + MARGINS[index], restless)
        return max(score, min(mean / FLOORS[index], self._beyond(index)))

    def _beyond(self, index: int) -> float:
        """How far the span is beyond the highest that it has been; 1 is clearly."""
        highest, spent = max(self.heights[index], self.past[index]), self._mean(SPANS[index])
        return log(spent / highest) / HIGHER if self.seen >= KNOWN and spent > highest > 0 else 0.0

    def _mean(self, span: int, passed: int = 0) -> float:
        """USD per hour of the span that ended so many hours ago."""
        spent = self.spent[-span - passed : len(self.spent) - passed]
        return sum(spent) / span if len(spent) == span else 0.0

    def learn(self) -> None:
        """The newest hour was ordinary."""
        logs = self.logs
        if not logs:
            return
        self.seen += 1
        if self.seen % GENERATION == 0:
            self.past, self.heights = self.heights, NOTHING
        self._watch_heights(SPANS[-1])  # what rises from hour to hour must not hide in its own height
        self.noise += max(1.0 / self.seen, 1.0 / NOISE_HOURS) * (min(WILD, abs(logs[-1])) - self.noise)
        for index, span in enumerate(SPANS):
            if len(logs) >= TRUST + span:
                trusted = sum(logs[-TRUST - span : -TRUST]) / span
                self.records[index] = max(self.records[index] * FADE, trusted)

    def excuse(self) -> None:
        """What the newest hours cost is nothing unusual."""
        self._watch_heights(0)

    def _watch_heights(self, passed: int) -> None:
        self.heights = [max(self.heights[at], self._mean(span, passed)) for at, span in enumerate(SPANS)]

    def met(self, height: float) -> None:
        """A creep of that log-ratio is over: the next must be higher to be told."""
        self.records = [max(record, height) for record in self.records]
        self.reset()

    def reset(self) -> None:
        """A new level is normal."""
        del self.logs[:], self.spent[:]

    def to_json(self) -> list[Any]:
        heights = [self.spent.tolist(), self.heights, self.past]
        return [self.logs.tolist(), self.records, self.noise, self.seen, heights]

    @classmethod
    def from_json(cls, state: list[Any]) -> Creep:
        creep = cls()
        if len(state) == FIELDS_V1 and not isinstance(state[4], list):  # it judged by other hours: its record goes on
            creep.records = [state[2]] * len(SPANS)
            return creep
        creep.logs, creep.records, creep.noise, creep.seen = array("d", state[0]), list(state[1]), *state[2:4]
        if len(state) > FIELDS_V2:  # before, nothing was known of what the hours cost
            spent, creep.heights, creep.past = state[4]
            creep.spent = array("d", spent)
        return creep
