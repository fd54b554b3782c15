"""The two questions asked of a stream of residuals: has its mean drifted, and is this a record?"""

from __future__ import annotations

from river import base

from streams.core.detect.detectors.moments import WarmEW, WindowMean

FIRST_MOVE = 10.0  # how far out a value is called that leaves a range of zero width


class Drift(base.Base):
    """How many standard deviations the recent mean is from where that mean has been in the long run."""

    __slots__ = ("long_run", "needed", "recent", "two_sided")

    def __init__(self, window: int, rate: float, needed: int, *, two_sided: bool) -> None:
        self.recent = WindowMean(window)
        self.long_run = WarmEW(rate)
        self.needed = needed  # means seen before the first answer
        self.two_sided = two_sided  # whether falling counts too

    def feed(self, x: float) -> None:
        """Take in a value of the warm-up: the window fills, the long run does not start yet."""
        self.recent.update(x)

    def update(self, x: float) -> float:
        """Take in a value; the surprise (>= 0, in standard deviations) of the mean it leads to."""
        recent, long_run = self.recent, self.long_run
        recent.update(x)
        mean = recent.total / len(recent.ring)
        surprise = (mean - long_run.mean) / long_run.sd() if long_run.n >= self.needed else 0.0
        long_run.update(mean)
        if surprise < 0.0:
            return -surprise if self.two_sided else 0.0
        return surprise

    def dump(self) -> list[list[float]]:
        return [self.recent.dump(), self.long_run.dump()]

    def load(self, state: list[list[float]]) -> None:
        recent, long_run = state
        self.recent.load(recent)
        self.long_run.load(long_run)


class Record(base.Base):
    """How far a value lies outside everything seen, in widths of the range seen.

    Records get rarer by themselves as history grows, so that this needs no estimate of spread.
    """

    __slots__ = ("highest", "lowest", "relax")

    def __init__(self, relax: float) -> None:
        self.relax = relax  # part of the way to the current value that a limit moves per step
        self.lowest: float | None = None
        self.highest: float | None = None

    def update(self, x: float) -> float:
        """Novelty (>= 0) of the value, which then widens the range."""
        lowest, highest = self.lowest, self.highest
        if lowest is None or highest is None:
            self.lowest = self.highest = x
            return 0.0
        width, beyond = highest - lowest, 0.0
        if x > highest:
            beyond, self.highest = x - highest, x
        else:
            self.highest = highest - self.relax * (highest - x)
        if x < lowest:
            beyond, self.lowest = lowest - x, x
        else:
            self.lowest = lowest + self.relax * (x - lowest)
        if beyond == 0.0:
            return 0.0
        return beyond / width if width > 0.0 else FIRST_MOVE

    def dump(self) -> list[float | None]:
        return [self.lowest, self.highest]

    def load(self, state: list[float | None]) -> None:
        self.lowest, self.highest = state
