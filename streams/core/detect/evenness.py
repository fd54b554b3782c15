"""What comes evenly: people ask as it pleases them, a machine that repeats itself asks as often in every window."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from statistics import median
from typing import Any

from streams.core.detect.gauge import CLEARLY, DAY, LONGEST, MARGINS
from streams.core.detect.heights import Habits

MOST = 7  # of the newest ten windows
WITHIN = 0.25  # of the standard deviation of chance: so near to the middle one most must be
COUNTED = 10.0  # requests a window, and no fewer: a few come evenly by chance
FLOOR = log(1.5)  # log-ratio of spend: never call less unusual
MARGIN = MARGINS[-1]  # how far beyond the record


class Evenness:
    """Of one series: how high its spend has been where it came evenly, as log-ratios to the usual."""

    __slots__ = ("habits", "held", "record")

    def __init__(self) -> None:
        self.record = 0.0  # on ordinary days
        self.held = 0.0  # in the even stretch under way: a record when it comes to nothing
        self.habits = Habits()  # of incidents that were even

    def judge(self, height: float, requests: Sequence[float], sensitivity: float, age: float) -> float:
        """How unusual it is that windows of so many `requests` cost so much together: above 1 is. `age` is that of the
        series in seconds: its first day says how it is."""
        if height <= FLOOR / sensitivity or not is_even(requests):
            self.record, self.held = max(self.record, self.held), 0.0
            return 0.0
        score = height / max(FLOOR / sensitivity, self.record + MARGIN / sensitivity)
        if score <= 1.0 or age < DAY:
            self.held = max(self.held, height)
            return 0.0
        self.held = 0.0
        self.habits.put([height], age)
        return score

    def met(self, height: float) -> None:
        """The incident under way turned out to be nothing: the same again shall not be told."""
        if self.habits.peaks:
            self.record = max(self.record, height, *self.habits.peaks)

    def passed(self, *, by_itself: bool) -> None:
        """An incident is over. What has become a habit is told only where it is clearly higher."""
        for [height] in self.habits.over(by_itself=by_itself):
            self.record = max(self.record, height - CLEARLY * MARGIN)

    def to_json(self) -> list[Any]:
        return [self.record, self.held, self.habits.to_json()]

    @classmethod
    def from_json(cls, state: list[Any]) -> Evenness:
        evenness = cls()
        evenness.record, evenness.held = state[:2]
        evenness.habits = Habits.from_json(state[2])
        return evenness


def is_even(requests: Sequence[float]) -> bool:
    """Whether most of the windows have as many as the middle one, but for a part of chance."""
    if len(requests) < LONGEST:
        return False
    middle = median(requests)
    return middle >= COUNTED and sum(abs(one - middle) <= WITHIN * sqrt(middle) for one in requests) >= MOST
