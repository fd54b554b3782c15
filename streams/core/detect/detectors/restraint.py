"""From surprises to alerts: one number, a quiet time after each alert, and less trust in what alerts often."""

from __future__ import annotations

import math
from collections.abc import Sequence

from river import base

from streams.core.detect.detectors.parameters import RestraintParameters

CAP = 1e6  # beyond this a surprise says nothing more; keeps powers finite


class Restraint(base.Base):
    """Combines the surprises of several signals into one score and decides when it is an alert."""

    __slots__ = ("age", "blame", "clock", "last", "level", "marked", "p", "signals")

    def __init__(self, parameters: RestraintParameters, signals: int) -> None:
        self.p = parameters
        self.signals = signals
        self.age = 0  # points so far
        self.clock = 0.0  # periods so far
        self.marked = 0.0  # the clock at the last alert
        self.last: int | None = None  # the age at the last alert
        self.level = 0.0  # recent alerts, faded up to the last one
        self.blame = [0.0] * signals  # the same, shared out over the signals that raised them

    def skip(self) -> None:
        """Let a point pass without a score."""
        self._tick()

    def judge(self, surprises: Sequence[float]) -> tuple[float, bool]:
        """Score (> 1 is anomalous) and whether to alert. A surprise of 1 would just alert alone and uninhibited."""
        period = self._tick()
        norm = self.p.norm
        total = 0.0
        for s in surprises:
            if s > 0.0:
                total += s**norm if s < CAP else CAP**norm
        if total <= 1.0:  # restraint only lowers a score: this one cannot alert
            return total ** (1.0 / norm), False
        return self._restrain(surprises, period)

    def _restrain(self, surprises: Sequence[float], period: float) -> tuple[float, bool]:
        """The same for a score that would be anomalous if there had been no alerts before."""
        p = self.p
        since = self.clock - self.marked
        fade = math.exp(-since / p.signal_memory)
        doubt = p.signal_back_off * fade
        shares = [
            (min(max(s, 0.0), CAP) / (1.0 + doubt * b)) ** p.norm for s, b in zip(surprises, self.blame, strict=True)
        ]
        total = sum(shares)
        level = self.level * math.exp(-since / p.memory)
        score = total ** (1.0 / p.norm) / (1.0 + p.back_off * level)
        alert = score > 1.0 and (self.last is None or self.age - 1 - self.last > p.quiet * period)
        if alert:
            self.blame = [fade * b + s / total for b, s in zip(self.blame, shares, strict=True)]
            self.level, self.marked, self.last = level + 1.0, self.clock, self.age - 1
        return score, alert

    def _tick(self) -> float:
        """Count a point; the length of a period now, in points."""
        p = self.p
        period = p.growth * self.age
        period = p.shortest if period < p.shortest else min(period, p.longest)
        self.age += 1
        self.clock += 1.0 / period
        return period

    def dump(self) -> list[float | list[float] | None]:
        return [self.age, self.clock, self.marked, self.last, self.level, self.blame]

    def load(self, state: list[float | list[float] | None]) -> None:
        age, clock, marked, last, level, blame = state
        if not isinstance(blame, list) or len(blame) != self.signals:
            raise ValueError(f"blame is shared by {self.signals} signals")
        if not (isinstance(age, int) and isinstance(clock, float) and isinstance(marked, float)):
            raise TypeError("age is an integer, clock and marked are floats")
        if not isinstance(level, float) or not (last is None or isinstance(last, int)):
            raise TypeError("level is a float, last an integer or nothing")
        self.age, self.clock, self.marked, self.last, self.level = age, clock, marked, last, level
        self.blame = list(blame)
