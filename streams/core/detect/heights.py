"""How high a quantity has been on ordinary days, and what it has come to in incidents that went by themselves."""

from __future__ import annotations

from typing import Any

SPANS = 3  # of a gauge
NOTHING = [0.0] * SPANS
TIMES, TIMES_AT_AN_HOUR = 3, 2  # that an incident comes and goes within a week to be a habit
HOUR, DAY = 3600.0, 86_400.0
WEEK = 7 * DAY
APART = 2 * HOUR  # incidents that begin closer to each other count as one


class Heights:
    """The highest that each span has been on ordinary days, in this generation and the one before."""

    __slots__ = ("held", "now", "past")

    def __init__(self) -> None:
        self.now = NOTHING
        self.past: list[float] | None = NOTHING  # None: not known
        self.held = NOTHING  # of windows under suspicion: ordinary when it comes to nothing

    def highest(self, index: int) -> float:
        """Of that span; 0 while it is not known."""
        return max(self.now[index], self.past[index]) if self.past is not None else 0.0

    def learn(self, values: list[float], *, suspect: bool) -> None:
        """Take in an ordinary window's."""
        held, now = self.held, self.now
        if suspect:
            self.held = [max(pair) for pair in zip(held, values, strict=True)]
            return
        if held is not NOTHING:
            values, self.held = [max(pair) for pair in zip(held, values, strict=True)], NOTHING
        if values[0] > now[0] or values[1] > now[1] or values[2] > now[2]:  # seldom, and this is done for every window
            self.now = [max(now[0], values[0]), max(now[1], values[1]), max(now[2], values[2])]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under suspicion."""
        return self.held is NOTHING

    def forget(self) -> None:
        """What was under suspicion was unusual."""
        self.held = NOTHING

    def grow(self) -> None:
        """A generation is over."""
        self.past, self.now = self.now, NOTHING

    def to_json(self) -> list[Any]:
        return [self.now, self.past, self.held]

    @classmethod
    def from_json(cls, state: list[Any]) -> Heights:
        heights = cls()
        heights.now, heights.past = list(state[0]), list(state[1]) if state[1] is not None else None
        heights.held = list(state[2]) if any(state[2]) else NOTHING
        return heights


class Habits:
    """The incidents of the last week that went by themselves. Ages are of the gauge, in seconds.

    What has come three times within a week, or twice at the same hour of the day, is how this series is at times.
    """

    __slots__ = ("began", "peaks", "tops")

    def __init__(self) -> None:
        self.began = 0.0  # the age at which the incident under way began
        self.peaks: list[float] = []  # the highest that it has come to; empty while there is none
        self.tops: list[list[float]] = []  # the same of those that are over, each with its `began` at the end

    def put(self, peaks: list[float], age: float) -> None:
        """A window of an incident."""
        if not self.peaks:
            self.began, self.peaks = age, peaks
        else:
            self.peaks = [max(pair) for pair in zip(self.peaks, peaks, strict=True)]

    def passed(self) -> list[list[float]]:
        """The incident is over; returns the heights that have become a habit, each those of one incident."""
        began, peaks, self.peaks = self.began, self.peaks, []
        if not peaks:
            return []
        tops = self.tops = [top for top in self.tops if began - top[-1] < WEEK]
        if tops and began - tops[-1][-1] < APART:
            tops[-1][:-1] = [max(pair) for pair in zip(tops[-1][:-1], peaks, strict=True)]
        else:
            tops.append([*peaks, began])
        same_hour = [top for top in tops if abs((top[-1] - began + DAY / 2) % DAY - DAY / 2) <= HOUR]
        return [
            [sorted(heights)[-times] for heights in list(zip(*habit, strict=True))[:-1]]
            for habit, times in ((tops, TIMES), (same_hour, TIMES_AT_AN_HOUR))
            if len(habit) >= times
        ]

    def over(self, *, by_itself: bool) -> list[list[float]]:
        """The same; nothing is learnt of one that somebody ended, or has judged."""
        if by_itself:
            return self.passed()
        self.drop()
        return []

    def drop(self) -> None:
        """The incident is over, and says nothing of how the series is."""
        self.peaks = []

    def to_json(self) -> list[Any]:
        return [self.began, self.peaks, self.tops]

    @classmethod
    def from_json(cls, state: list[Any]) -> Habits:
        habits = cls()
        habits.began, habits.peaks, habits.tops = state[0], list(state[1]), [list(top) for top in state[2]]
        return habits
