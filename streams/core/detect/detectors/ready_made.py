"""River's ready-made anomaly detectors behind our interface, for comparison.

What River leaves open is added around them: a warm-up, a threshold, a floor for the spread, a quiet time.
Their state is read out number by number; a pickle would run code when loaded and ties it to River's version.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar

from river import anomaly, stats

from streams.core.detect.detectors.base import Detector, Snapshot, State, Verdict, scorable, unscored
from streams.core.detect.detectors.moments import FLAT_SD
from streams.core.detect.detectors.repeat import Repeat

DAY = 86_400.0
ANOMALY: Any = anomaly  # these classes of River carry no types


class ReadyMade(Detector):
    """What the wrappers share. A River score of `threshold` is our score of 1."""

    def __init__(self, threshold: float, warm_up: int, quiet: float) -> None:
        self.threshold = threshold
        self.warm_up = warm_up  # points without a verdict
        self.seen = 0
        self.repeat = Repeat(quiet)

    def update(self, at: float, value: float | None) -> Verdict:
        expected = self.expected()
        if not scorable(value, at):
            return unscored(expected)
        v = float(value)
        raw = self.score(v)
        self.learn(v)
        self.seen += 1
        if self.seen <= self.warm_up:
            return Verdict(0.0, False, expected, State.WARMING)
        score = raw / self.threshold
        state = State.ANOMALOUS if score > 1.0 else State.NORMAL
        return Verdict(score, self.repeat.alert(at, score), expected, state)

    def config(self) -> list[float]:
        return [self.threshold, self.warm_up, self.repeat.quiet]

    def state_dict(self) -> Snapshot:
        return {"seen": self.seen, "repeat": self.repeat.last, "model": self.dump()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.seen, self.repeat.last = state["seen"], state["repeat"]
        self.load(state["model"])

    @abstractmethod
    def expected(self) -> float: ...

    @abstractmethod
    def score(self, v: float) -> float:
        """River's own score, finite."""

    @abstractmethod
    def learn(self, v: float) -> None: ...

    @abstractmethod
    def dump(self) -> list[Any]: ...

    @abstractmethod
    def load(self, state: list[Any]) -> None: ...


class Gaussian(ReadyMade):
    """`GaussianScorer`: how much of a normal distribution, fitted to all points, lies nearer to the mean.

    It says 0 of anything after a constant history, and exactly 1 from 9 standard deviations on.
    """

    name: ClassVar[str] = "river-gaussian"
    version: ClassVar[int] = 1

    def __init__(self, threshold: float = 0.9999, warm_up: int = 100, quiet: float = DAY) -> None:
        super().__init__(threshold, warm_up, quiet)
        self.model: Any = ANOMALY.GaussianScorer(grace_period=warm_up)
        self.reach = NormalDist().inv_cdf((1.0 + threshold) / 2.0)  # the threshold in standard deviations

    def expected(self) -> float:
        return float(self.model.gaussian.mu)

    def band(self, at: float) -> tuple[float, float]:  # noqa: ARG002
        mean, half = self.expected(), self.reach * self.model.gaussian.sigma
        return mean - half, mean + half

    def score(self, v: float) -> float:
        return float(self.model.score_one(None, v))

    def learn(self, v: float) -> None:
        self.model.learn_one(None, v)

    def dump(self) -> list[Any]:
        return dump_var(self.model.gaussian._var)

    def load(self, state: list[Any]) -> None:
        load_var(self.model.gaussian._var, state)


class AbsoluteDeviation(ReadyMade):
    """`StandardAbsoluteDeviation`: distance from the mean in standard deviations; a floor keeps it finite."""

    name: ClassVar[str] = "river-absolute-deviation"
    version: ClassVar[int] = 1

    def __init__(self, threshold: float = 4.0, warm_up: int = 100, quiet: float = DAY, cap: float = 1e6) -> None:
        super().__init__(threshold, warm_up, quiet)
        self.cap = cap  # after a constant history River divides by 1e-10
        self.model: Any = ANOMALY.StandardAbsoluteDeviation(stats.Mean())

    def expected(self) -> float:
        return float(self.model.sub_stat.get())

    def band(self, at: float) -> tuple[float, float]:  # noqa: ARG002
        mean, half = self.expected(), self.threshold * max(self.model.variance.get() ** 0.5, FLAT_SD)
        return mean - half, mean + half

    def score(self, v: float) -> float:
        return float(min(self.model.score_one(None, v), self.cap))

    def learn(self, v: float) -> None:
        self.model.learn_one(None, v)

    def dump(self) -> list[Any]:
        # The subtracted mean is the variance's own, fed with the same values: one copy is enough.
        return dump_var(self.model.variance)

    def load(self, state: list[Any]) -> None:
        load_var(self.model.variance, state)
        self.model.sub_stat.n, self.model.sub_stat._mean = state[:2]


def dump_var(var: stats.Var) -> list[float]:
    """The three numbers a `river.stats.Var` is made of."""
    return [var.mean.n, var.mean._mean, var._S]


def load_var(var: stats.Var, state: list[float]) -> None:
    var.mean.n, var.mean._mean, var._S = state
