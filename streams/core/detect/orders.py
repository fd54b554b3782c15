"""What comes and goes in orders, as GPUs do: how much a series has taken on at one stroke.

The work of a cluster comes in jobs, and on ordinary days it runs on many times the GPUs of an hour before. What says
more is an order larger than any before it, and kept.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

from streams.core.detect.heights import NOTHING, SPANS, Heights

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

    def look(self, nums: list[float], spans: tuple[int, ...]) -> None:
        """Take in the newest windows, the last of which is under judgement."""
        seen = len(nums)
        self.rises = [max(0.0, min(nums[-span:]) - min(nums[:-span])) if seen > span else 0.0 for span in spans]

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

    def kept(self, nums: list[float], highest: float) -> float:
        """The largest rise that all windows since have kept, as a part of the largest that the longest span knows."""
        known = self.known(SPANS - 1, highest)
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
    def from_json(cls, state: list[Any]) -> Orders:
        orders = cls()
        orders.largest, orders.met = Heights.from_json(state[0]), list(state[1])
        return orders

    @classmethod
    def unknown(cls) -> Orders:
        """Of a series that was watched before anybody looked at its rises."""
        orders = cls()
        orders.largest.past = None
        return orders
