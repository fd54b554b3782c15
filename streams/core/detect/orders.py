"""What comes and goes in orders, as GPUs do: how much a series takes on at one stroke, and keeps.

The work of a cluster comes in jobs, and on ordinary days it runs on many times the GPUs of an hour before. What says
more is a single order: how large it is beside the largest so far, beside what else moves just now, and beside what the
cluster usually is. A stroke as large as half the cluster is nothing while jobs come and go by the minute, and a sign of
trouble in a quiet night.
"""

from __future__ import annotations

from math import exp, inf, log, sqrt
from typing import Any, Self

from streams.core.detect.gauge import CALM, DAY, FIELDS, NO_LOGS, SPANS, YOUNG, Gauge, Reading
from streams.core.detect.heights import Heights

AGES = (1, 6, 24)  # windows for which an order has been kept when it is judged
OLDEST = AGES[-1]
BEFORE = 12  # windows before an order, whose moves say how restless the series is
KEPT = OLDEST + BEFORE + 1  # windows that are remembered
FURTHER = (2.4, 1.75, 1.25)  # the log by which it stands out, from which it is unusual: less, the longer it is kept
CLEARLY = log(1.5)  # the log-ratio to the usual of an hour before, that anything unusual has
CLEAR_RATIO = exp(CLEARLY)
SMALL = 15.0  # USD per hour: what is added to all that is compared, for a few GPUs more or less say nothing
COUNTED = 3.5  # what an order is compared with: three things, and half as much what the series typically is
LIFE = 3 * DAY  # seconds over which that is smoothed
HOUR = 3600.0
FIELDS_OF_RISES = 2  # of the state that knew of the rise within an hour, and of no single orders
NOTHING = [0.0] * len(AGES)
NO_ORDERS = [(0.0, 0.0)] * len(AGES)


class Sizes:
    """The two largest orders of each age on ordinary days, in this generation and the one before."""

    __slots__ = ("held", "now", "past", "two")

    def __init__(self) -> None:
        self.now = NO_ORDERS
        self.past: list[tuple[float, float]] | None = NO_ORDERS  # None: not known
        self.held = NOTHING  # under suspicion: ordinary when it comes to nothing
        self.two = NO_ORDERS  # the largest of each age and the next, of both generations; 0 while they are not known

    def _put_together(self) -> None:
        """Set `two`, which is asked for far more often than it changes."""
        self.two = NO_ORDERS
        if self.past is not None:
            self.two = [_two_of(*now, *past) for now, past in zip(self.now, self.past, strict=True)]

    def learn(self, sizes: list[float], *, suspect: bool) -> None:
        """Take in the orders that an ordinary window completed."""
        if sizes is NOTHING and (suspect or self.held is NOTHING):  # most windows
            return
        if self.held is not NOTHING:
            sizes = [max(pair) for pair in zip(self.held, sizes, strict=True)]
        if suspect:
            self.held = sizes
            return
        self.held = NOTHING
        for index, size in enumerate(sizes):
            first, second = self.now[index]
            if size > second:  # seldom
                self.now = list(self.now)
                self.now[index] = (size, first) if size > first else (first, size)
                self._put_together()

    def forget(self) -> None:
        """What was under suspicion was unusual."""
        self.held = NOTHING

    def grow(self) -> None:
        """A generation is over."""
        self.past, self.now = self.now, NO_ORDERS
        self._put_together()

    def to_json(self) -> list[Any]:
        """What lasts. The first three are what a release before this one reads when it takes over again."""
        past = self.past
        first = [[pair[0] for pair in self.now], [pair[0] for pair in past] if past is not None else None, self.held]
        return [*first, [pair[1] for pair in self.now], [pair[1] for pair in past or ()]]

    @classmethod
    def from_json(cls, state: list[Any]) -> Sizes:
        """The reverse."""
        now, past, held, seconds, thirds = state
        sizes = cls()
        sizes.now = list(zip(now, seconds, strict=True))
        sizes.past = list(zip(past, thirds, strict=True)) if past is not None else None
        sizes.held = list(held) if any(held) else NOTHING
        sizes._put_together()
        return sizes


def _two_of(first: float, second: float, other: float, third: float) -> tuple[float, float]:
    """The two largest of two pairs, each with its larger one first."""
    return (other, max(first, third)) if first < other else (first, max(other, second))


class Orders:
    """The orders of one series. How large one is: by how much all windows since are above the one before it."""

    __slots__ = ("age", "best", "largest", "met", "recent", "sizes", "small", "typical")

    def __init__(self) -> None:
        self.recent: list[float] = []  # USD of the newest windows
        self.largest = Sizes()
        self.met = NOTHING  # in the incident under way
        self.sizes = NOTHING  # by AGES, of the orders that are so old with the newest window
        self.best, self.age = 0.0, 0  # the largest that is being kept, and since how many windows
        self.typical = 0.0  # USD per window
        self.small = 1.0  # USD per window

    def look(self, usd: float) -> None:
        """Take in a window, which is to be judged."""
        recent = self.recent
        recent.append(usd)
        del recent[:-KEPT]
        self.sizes, self.best, self.age = NOTHING, 0.0, 0
        least = usd
        for age, before in enumerate(recent[-2 : -OLDEST - 2 : -1], start=1):
            if before < least:
                size = least - before
                if size > self.best:
                    self.best, self.age = size, age
                if age in AGES:
                    self.sizes = list(self.sizes)
                    self.sizes[AGES.index(age)] = size
                least = before

    def stands_out(self, size: float, age: int, known: float) -> float:
        """The log by which an order is larger than what it is compared with, when the largest so far is `known`."""
        start = len(self.recent) - age
        more = max(self.recent[start:]) - self.recent[start]
        beside = self._beside(known, _moves(self.recent[max(0, start - 1 - BEFORE) : start]), more)
        return log((size + self.small) / beside)

    def _beside(self, known: float, moves: float, more: float) -> float:
        """What an order is compared with, the geometric mean of: the largest known, the largest move of a window in the
        hour before, what more came after it, and what the series usually is."""
        small = self.small
        product = (known + small) * (moves + small) * (more + small) * sqrt(max(0.0, self.typical) + small)
        return exp(log(product) / COUNTED)

    def known(self, index: int, heights: Heights) -> tuple[float, float]:
        """The two largest orders of that age. While none is known, all up to the highest that the series has been are
        ordinary."""
        first, second = self.largest.two[index]
        if first <= 0.0:
            first = second = heights.highest(index)
        met = self.met[index]
        return (first, second) if met <= second else (max(first, met), min(first, met))

    def score(self, index: int, heights: Heights, *, young: float, sensitivity: float) -> float:
        """How unusual the order of that age is, above 1 is; `young` is added to how far it must stand out. What has
        come twice is ordinary."""
        size, (first, second) = self.sizes[index], self.known(index, heights)
        if size <= second or first <= 0.0:
            return 0.0
        return max(0.0, self.stands_out(size, AGES[index], first)) * sensitivity / (FURTHER[index] + young)

    def kept(self, heights: Heights) -> float:
        """What the largest order that is being kept may score, once it is old."""
        first, second = self.known(len(AGES) - 1, heights)
        if self.best <= second or first <= 0.0:
            return 0.0
        return max(0.0, self.stands_out(self.best, self.age, first)) / FURTHER[-1]

    def limit(self, heights: Heights, *, young: float) -> float:
        """The most that the next window may be and, by itself, still be no order that is unusual."""
        if not self.recent:
            return 0.0
        first, second = self.known(0, heights)
        beside = self._beside(first, _moves(self.recent[-BEFORE - 1 :]), 0.0)
        return self.recent[-1] + max(second, beside * exp(FURTHER[0] + young) - self.small)

    def learn(self, seconds: float, age: float, *, usual: bool, suspect: bool) -> None:
        """Take in the newest window, which was looked at, of a series that was watched for `age` seconds before it."""
        self.small = SMALL * seconds / HOUR
        if usual:
            self.largest.learn(self.sizes, suspect=suspect)
            self.typical += max(seconds / (age + seconds), min(1.0, seconds / LIFE)) * (self.recent[-1] - self.typical)
        else:
            self.met = [max(pair) for pair in zip(self.met, self.sizes, strict=True)]

    def excuse(self) -> None:
        """The incident under way was an order as large as they come."""
        self.largest.learn(self.met, suspect=False)

    def drop(self) -> None:
        """It is over."""
        self.met = NOTHING

    def to_json(self) -> list[Any]:
        return [self.largest.to_json(), self.met, self.recent, self.typical, self.small]

    @classmethod
    def from_json(cls, state: list[Any] | None) -> Orders:
        """None: of a series that was watched before anybody looked at its orders."""
        orders = cls()
        if state is None or len(state) == FIELDS_OF_RISES:
            orders.largest.past = None
            return orders
        orders.largest, orders.met = Sizes.from_json(state[0]), list(state[1])
        orders.recent, orders.typical, orders.small = list(state[2]), state[3], state[4]
        return orders


def _moves(windows: list[float]) -> float:
    """The largest move from one window to the next."""
    largest, last = 0.0, windows[0] if windows else 0.0
    for usd in windows:
        if usd - last > largest:  # less than half the time of `max` over all moves
            largest = usd - last
        elif last - usd > largest:
            largest = last - usd
        last = usd
    return largest


class OrderGauge(Gauge):
    """Judges by how much came at one stroke."""

    __slots__ = ("orders",)

    def __init__(self, scale: float = 1.0, least: float = 1.0) -> None:
        super().__init__(scale, least)
        self.orders = Orders()

    def judge(
        self, num: float, den: float, upper: float, little: float, *, pad: float = 0.0, count: float = 0.0,  # noqa: ARG002
        sensitivity: float | None = 1.0, rough: bool = False,  # noqa: ARG002  orders know no hours, and aren't counted
    ) -> Reading:  # fmt: skip
        self.see(num, den, -inf, little, pad)
        orders, logs = self.orders, self.logs
        orders.look(num)
        if logs is NO_LOGS or sensitivity is None:
            return CALM
        scores = self._scores(logs, sensitivity) if orders.sizes is not NOTHING else NOTHING
        best, now = scores.index(max(scores)), 0.0
        if logs[0] > 0.5 * CLEARLY and orders.best > 0.0:
            now = min(orders.kept(self.heights), logs[0] / CLEARLY)
        return Reading(scores[best], exp(logs[best]), SPANS[best], now)

    def _scores(self, logs: list[float], sensitivity: float) -> list[float]:
        """How unusual the orders are that are so old now, by AGES."""
        orders, young, scores = self.orders, self.youth, [0.0] * len(AGES)
        for index, log_ratio in enumerate(logs):
            if log_ratio > 0.0 and orders.sizes[index] > 0.0:
                score = orders.score(index, self.heights, young=YOUNG[index] * young, sensitivity=sensitivity)
                scores[index] = min(score, log_ratio * sensitivity / CLEARLY)
        return scores

    def limit(self, upper: float, little: float, count: float = 0.0) -> float:  # noqa: ARG002
        clearly = (self.usual + little) * CLEAR_RATIO - little
        return max(clearly, self.orders.limit(self.heights, young=YOUNG[0] * self.youth))

    def learn(self, seconds: float, life: float, *, usual: bool, suspect: bool) -> None:
        self.orders.learn(seconds, self.age, usual=usual, suspect=suspect)
        if suspect:
            self.skip |= 1  # an order is judged for longer than windows wait to be learnt
        super().learn(seconds, life, usual=usual, suspect=suspect)

    def forget(self, windows: int) -> None:
        super().forget(windows)
        self.orders.largest.forget()

    def cut(self, windows: int) -> None:
        super().cut(windows)
        self.orders.recent = self.orders.recent[-windows:]

    def rest(self, windows: int, seconds: int, life: float) -> None:
        super().rest(windows, seconds, life)
        self.orders.recent = (self.orders.recent + [0.0] * min(windows, KEPT))[-KEPT:]

    def _next_generation(self) -> None:
        super()._next_generation()
        self.orders.largest.grow()

    def _learn_heights(self) -> None:
        super()._learn_heights()
        self.orders.excuse()

    def passed(self, *, by_itself: bool) -> None:
        if by_itself:  # an order as large as they come
            self._learn_heights()
        self.orders.drop()
        super().passed(by_itself=by_itself)

    def to_json(self) -> list[Any]:
        return [*super().to_json(), self.orders.to_json()]

    @classmethod
    def from_json(cls, state: list[Any]) -> Self:
        gauge = super().from_json(state)
        gauge.orders = Orders.from_json(state[FIELDS] if len(state) > FIELDS else None)
        return gauge
