"""The pace of a source: by the call, or in buckets of a minute, five minutes, an hour, a day.

A source that reports buckets puts its events exactly on a bucket's end. Read more finely than that, its buckets would
be mistaken for pulses, so no series is watched at a finer pace than its coarsest material source.
"""

from __future__ import annotations

from typing import Any

STEPS = (60, 300, 3600, 86_400)
MATERIAL = 0.05  # of the events: calls stamped by the whole second stand on a minute's end in 1 of 60 by chance
MAIN = 0.5  # of the events: what few events must show
NESTED = 0.5  # of the events on the next finer step: of minute buckets, 1 in 5 stands on five minutes by chance
MEMORY = 1000.0  # events
FEW = 6.0  # events below which nothing is said: the first call of a key stands on a minute's end in 1 of 60 by chance
MANY = 300.0  # events from which a share as small as MATERIAL says something


class Pace:
    """Learns one series' pace from how its events stand to the clock."""

    __slots__ = ("base", "counts", "events", "fixed", "seconds")

    def __init__(self, base: int, fixed: int = 0) -> None:
        self.base = base  # seconds of the windows that come in
        self.fixed = max(base, fixed) if fixed else 0
        self.seconds = self.fixed or base
        self.events = 0.0
        self.counts = [0.0] * len(STEPS)

    def learn(self, events: int, aligned: dict[int, int]) -> bool:
        """Take in a window's counts; returns whether the pace has changed."""
        if self.fixed or events <= 0 or (not aligned and not self.counts[0]):
            return False
        fade, counts = max(0.0, 1.0 - events / MEMORY), self.counts
        self.events = self.events * fade + events
        for index, step in enumerate(STEPS):
            counts[index] = counts[index] * fade + aligned.get(step, 0)
        if self.events < FEW:
            return False
        pace, finer = self.base, self.events
        for index, step in enumerate(STEPS):
            count = counts[index]
            if count < self._needed(step) * self.events or (finer is not self.events and count < NESTED * finer):
                break
            pace, finer = max(self.base, step), count
        if pace == self.seconds:
            return False
        self.seconds = pace
        return True

    def _needed(self, step: int) -> float:
        """The share of the events that makes this step a pace: less to stay there than to come there."""
        if self.events < MANY:
            return MAIN
        return MATERIAL / 2 if self.seconds >= step else MATERIAL

    def to_json(self) -> list[Any]:
        return [self.base, self.fixed, self.seconds, self.events, self.counts]

    @classmethod
    def from_json(cls, state: list[Any]) -> Pace:
        pace = cls(state[0], state[1])
        pace.seconds, pace.events, pace.counts = state[2], state[3], list(state[4])
        return pace
