"""Running statistics in the manner of `river.stats`, with state that can be read, bounded and trusted.

River's own are not used here because `EWVar` cancels at large offsets (128 instead of 2.5e-7 at 1e9), the state of
its compiled `EWMean` can only be pickled, and a rolling mean keeps the rounding error of an outlier that has left.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

from river import stats

FLAT_VAR = 1e-18  # a variance below this is rounding, not spread
FLAT_SD = 1e-9  # what one deviation then counts as
CANCELLED = 1e6  # a leaving value this much larger than what remains has taken the remainder's digits with it


class WarmEW(stats.base.Univariate[float]):
    """Exponentially weighted mean and variance, the plain ones while 1/n is above `rate`."""

    __slots__ = ("mean", "n", "rate", "var")

    def __init__(self, rate: float) -> None:
        self.rate = rate  # weight of the newest value, 0..1
        self.n = 0
        self.mean = 0.0
        self.var = 0.0

    def update(self, x: float) -> None:
        n = self.n = self.n + 1
        weight = self.rate if n * self.rate > 1.0 else 1.0 / n
        off = x - self.mean
        step = weight * off
        self.mean += step
        self.var = (1.0 - weight) * (self.var + step * off)

    def get(self) -> float:
        return self.mean

    def sd(self) -> float:
        """Standard deviation, never 0."""
        return math.sqrt(self.var) if self.var > FLAT_VAR else FLAT_SD

    def dump(self) -> list[float]:
        return [self.n, self.mean, self.var]

    def load(self, state: list[float]) -> None:
        n, self.mean, self.var = state
        self.n = int(n)


class WindowMean(stats.base.RollingUnivariate[float]):
    """Mean of the last `size` values, of all values while fewer."""

    __slots__ = ("next", "ring", "size", "total")

    def __init__(self, size: int) -> None:
        self.size = size
        self.ring = array("d")
        self.next = 0  # where the next value goes once the ring is full
        self.total = 0.0

    @property
    def window_size(self) -> int:
        return self.size

    def update(self, x: float) -> None:
        ring, place = self.ring, self.next
        if len(ring) < self.size:
            ring.append(x)
            self.total += x
            return
        gone = ring[place]
        ring[place] = x
        total = self.total = self.total + (x - gone)
        place += 1
        # Summing anew once a round, and when an outlier leaves, keeps rounding errors from outliving their cause.
        if place == self.size:
            self.next, self.total = 0, sum(ring)
            return
        self.next = place
        if not -CANCELLED < gone / (total or FLAT_SD) < CANCELLED:
            self.total = sum(ring)

    def get(self) -> float:
        return self.total / len(self.ring) if self.ring else 0.0

    def dump(self) -> list[Any]:
        return [self.next, self.total, self.ring.tolist()]

    def load(self, state: list[Any]) -> None:
        place, self.total, values = state
        if len(values) > self.size or not 0 <= place < self.size:
            raise ValueError(f"a ring of {self.size} cannot hold {len(values)} values at {place}")
        self.next = place
        self.ring = array("d", values)
