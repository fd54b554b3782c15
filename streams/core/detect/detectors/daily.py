"""What a series usually is at this time of day."""

from __future__ import annotations

from array import array

from river import base

HOUR = 3600.0


class DailyProfile(base.Base):
    """The usual value by hour of day (UTC), joined by straight lines from one hour's middle to the next's.

    Without the joining, every full hour would start with a step in the residual.
    """

    __slots__ = ("anytime", "anytime_rate", "counts", "means", "rate", "seen")

    def __init__(self, rate: float, anytime_rate: float) -> None:
        self.rate = rate  # weight of the newest value in its hour's mean
        self.anytime_rate = anytime_rate  # the same of the mean over all hours, used for an hour not yet seen
        self.means = array("d", bytes(24 * 8))
        self.counts = array("d", bytes(24 * 8))
        self.anytime = 0.0
        self.seen = 0

    def expect(self, at: float, otherwise: float) -> float:
        """What is to be expected at `at` (epoch seconds), `otherwise` while nothing is known."""
        means, counts = self.means, self.counts
        since_epoch = at // HOUR
        hour = int(since_epoch) % 24
        if not counts[hour]:
            return self.anytime if self.seen else otherwise
        mine = means[hour]
        aside = at / HOUR - since_epoch - 0.5  # -0.5 to 0.5 hours from the middle
        if aside > 0.0:
            near = hour + 1 if hour < 23 else 0
        else:
            aside, near = -aside, hour - 1  # the hour before 0 is, in Python's way, the last
        return mine + aside * (means[near] - mine) if counts[near] else mine

    def update(self, at: float, x: float) -> float:
        """What was to be expected at `at`, `x` itself if nothing was; `x` is learnt after that."""
        expected = self.expect(at, x)
        means, counts = self.means, self.counts
        hour = int(at // HOUR) % 24
        count, mine = counts[hour], means[hour]
        counts[hour] = count = count + 1.0
        means[hour] = mine + (self.rate if count * self.rate > 1.0 else 1.0 / count) * (x - mine)
        seen, rate = self.seen + 1, self.anytime_rate
        self.seen = seen
        self.anytime += (rate if seen * rate > 1.0 else 1.0 / seen) * (x - self.anytime)
        return expected

    def dump(self) -> list[float | list[float]]:
        return [self.seen, self.anytime, self.counts.tolist(), self.means.tolist()]

    def load(self, state: list[float | list[float]]) -> None:
        seen, anytime, counts, means = state
        if not (isinstance(counts, list) and isinstance(means, list) and len(counts) == len(means) == 24):
            raise ValueError("a daily profile has 24 hours")
        if isinstance(seen, list) or isinstance(anytime, list):
            raise TypeError("seen and anytime are numbers")
        self.seen, self.anytime = int(seen), anytime
        self.counts, self.means = array("d", counts), array("d", means)
