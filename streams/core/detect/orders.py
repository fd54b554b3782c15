"""What comes and goes in orders, as GPUs do: how much a series has taken on at one stroke.

The work of a cluster comes in jobs, and on ordinary days it runs on many times the GPUs of an hour before. What says
more is an order larger than any before it, and kept.
"""

from __future__ import annotations

from math import exp, log
from typing import Any, Self

from streams.core.detect.gauge import CALM, FIELDS, NO_LOGS, SPANS, YOUNG, Gauge, Reading
from streams.core.detect.heights import NOTHING, Heights

FURTHER = (log(3.4), log(2.9), log(1.7))  # beyond the largest rise so far, per span: less, the longer it is kept
NEAR = (0.9, 0.75, 0.7)  # of the highest that the series has been: however large an order, below that it is no trouble
TIMES = log(2.0)  # the log-ratio to the usual of an hour before, that anything unusual has


class Orders:
    """The largest rise of each span on ordinary days. A rise over a span is how far all of its windows are above the
    lowest of those before it, which the gauge still holds: so jobs that begin within the hour are one order."""

    __slots__ = ("largest", "met", "rises")

    def __init__(self) -> None:
        self.largest = Heights()
        self.met = NOTHING  # in the incident under way
        self.rises = NOTHING  # of the spans that end with the newest window

    def look(self, nums: list[float]) -> None:
        """Take in the newest windows, the last of which is under judgement."""
        seen = len(nums)
        if seen < 2 or nums[-1] <= min(nums[:-1]):
            self.rises = NOTHING
            return
        self.rises = [max(0.0, min(nums[-span:]) - min(nums[:-span])) if seen > span else 0.0 for span in SPANS]

    def known(self, index: int, highest: float) -> float:
        """The largest rise of that span. While none is known, one as large as the series has been `highest` counts."""
        return self.largest.highest(index) or highest

    def score(
        self, index: int, log_ratio: float, value: float, highest: float, *, young: float, sensitivity: float
    ) -> float:
        """How unusual a span is, above 1 is: `log_ratio` to the usual, `value` its mean and `highest` the most that it
        has been; `young` is added to how far beyond the largest rise it must be. What has been ordinary stays ordinary
        at any sensitivity above 1."""
        known = max(self.known(index, highest), self.met[index])
        if known <= 0:
            return 0.0
        beyond = min(1.0, sensitivity) * self.rises[index] / (known * exp((FURTHER[index] + young) / sensitivity))
        again = value / (NEAR[index] * highest) if highest > 0 else beyond
        return min(beyond, again, log_ratio * sensitivity / TIMES)

    def limit(self, nums: list[float], highest: float, *, young: float) -> float:
        """The most that the window after `nums` may be and, by itself, still be no larger an order than they come."""
        return max(min(nums) + self.known(0, highest) * exp(FURTHER[0] + young), NEAR[0] * highest) if nums else 0.0

    def kept(self, nums: list[float], highest: float) -> float:
        """The largest rise that all windows since have kept, as a part of the largest that the longest span knows."""
        known = self.known(len(SPANS) - 1, highest)
        low, most = nums[-1], 0.0
        for before in reversed(nums[:-1]):
            most, low = max(most, low - before), min(low, before)
        return most / known if known > 0 else 0.0

    def learn(self, *, usual: bool, suspect: bool) -> None:
        """Take in the newest window, which was looked at."""
        if usual:
            self.largest.learn(self.rises, suspect=suspect)
        else:
            self.met = [max(pair) for pair in zip(self.met, self.rises, strict=True)]

    def excuse(self) -> None:
        """The incident under way was an order as large as they come."""
        self.largest.learn(self.met, suspect=False)

    def drop(self) -> None:
        """It is over."""
        self.met = NOTHING

    def to_json(self) -> list[Any]:
        return [self.largest.to_json(), self.met]

    @classmethod
    def from_json(cls, state: list[Any] | None) -> Orders:
        """None: of a series that was watched before anybody looked at its rises."""
        orders = cls()
        if state is None:
            orders.largest.past = None
        else:
            orders.largest, orders.met = Heights.from_json(state[0]), list(state[1])
        return orders


class OrderGauge(Gauge):
    """Judges each span by how much came at one stroke."""

    __slots__ = ("orders",)

    def __init__(self, scale: float = 1.0, least: float = 1.0) -> None:
        super().__init__(scale, least)
        self.orders = Orders()

    def judge(
        self, num: float, den: float, upper: float, little: float, *, pad: float = 0.0, count: float = 0.0,  # noqa: ARG002
        sensitivity: float = 1.0, rough: bool = False,  # noqa: ARG002  orders know no hours, and aren't counted
    ) -> Reading:  # fmt: skip
        self.refresh()
        self._take(num, den, self.usual, little, pad)
        orders, logs = self.orders, self.logs
        orders.look(self.nums)
        if logs is NO_LOGS:
            return CALM
        young, highest, scores = self.youth, self.heights.highest, [0.0] * len(SPANS)
        for index, log_ratio in enumerate(logs):
            if log_ratio > 0.0 and orders.rises[index] > 0.0:
                scores[index] = orders.score(
                    index, log_ratio, self.values[index], highest(index), young=YOUNG[index] * young,
                    sensitivity=sensitivity,
                )  # fmt: skip
        best = max(range(len(SPANS)), key=scores.__getitem__)
        now = min(orders.kept(self.nums, highest(len(SPANS) - 1)), logs[0] / TIMES) if logs[0] > 0.0 else 0.0
        return Reading(scores[best], exp(logs[best]), SPANS[best], now)

    def limit(self, upper: float, little: float) -> float:  # noqa: ARG002
        twice = (self.usual + little) * exp(TIMES) - little
        return max(twice, self.orders.limit(self.nums, self.heights.highest(0), young=YOUNG[0] * self.youth))

    def learn(self, seconds: float, life: float, *, usual: bool, suspect: bool) -> None:
        self.orders.learn(usual=usual, suspect=suspect)
        super().learn(seconds, life, usual=usual, suspect=suspect)

    def forget(self, windows: int) -> None:
        super().forget(windows)
        self.orders.largest.forget()

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
