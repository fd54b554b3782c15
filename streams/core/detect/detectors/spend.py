"""The spend of one series, judged as `Watch` judges it: its gauge of levels and its week of hours as a detector."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

from streams.core.detect.detectors.base import LARGEST, Detector, Snapshot, State, Verdict, scorable, unscored
from streams.core.detect.gauge import Gauge
from streams.core.detect.hours import Hours
from streams.core.detect.orders import OrderGauge
from streams.core.detect.ratios import COUNTABLE, RatioGauge
from streams.core.detect.rules import DAY, HOUR

LITTLE = 0.02  # of the mean: below, a ratio says nothing
LIFE_WINDOWS = 12.0
LONGEST_STEP = float(DAY)


class Spend(Detector):
    """Only more than usual is anomalous: half the spend of yesterday is no reason to wake somebody.

    An anomalous point isn't learnt, but an anomaly that lasts for a day is the new normal.
    """

    name: ClassVar[str] = "spend"
    version: ClassVar[int] = 1
    kind: ClassVar[type[Gauge]] = RatioGauge
    count: ClassVar[float] = 0.0  # requests in a window, where spend comes by them

    def __init__(self, warmup: int = 30) -> None:
        self.warmup = warmup
        self._gauge = self.kind()
        self._hours = Hours()
        self._at = 0.0
        self._mean = 0.0
        self._seen = 0
        self._since = 0.0  # when the anomaly under way began; 0: there is none

    def update(self, at: float, value: float | None) -> Verdict:
        gauge = self._gauge
        if not scorable(value, at):
            return unscored(gauge.usual)
        step = self._step(at)
        usual = gauge.usual
        reading = gauge.judge(value, 1.0, self._upper(self._hours, at, step), LITTLE * self._mean, count=self.count)
        warm = self._seen >= self.warmup
        anomalous = warm and reading.score > 1.0
        alert = anomalous and not self._since
        self._learn(at, value, step, anomalous=anomalous)
        state = State.ANOMALOUS if anomalous else State.NORMAL if warm else State.WARMING
        return Verdict(reading.score if warm else 0.0, alert, usual, state)

    def band(self, at: float) -> tuple[float, float]:
        usual, upper = self._gauge.usual, 0.0
        if scorable(0.0, at):
            upper = self._upper(deepcopy(self._hours), at, self._step(at))  # of a copy, for their hour may turn
        limit = self._gauge.limit(upper, LITTLE * self._mean, self.count)
        return min(0.0, usual), min(LARGEST, max(usual, limit))

    def _step(self, at: float) -> float:
        """Seconds that the window at `at` stands for: as long as the one before it was ago."""
        return min(max(at - self._at, 1.0), LONGEST_STEP) if self._seen else 60.0

    def _upper(self, hours: Hours, at: float, step: float) -> float:
        """The most that other days had in a window of this hour, to which `hours` turn."""
        hours.turn(int(at // HOUR))
        week = hours.week
        return max(0.0, week.upper * step / HOUR) if week is not None else 0.0

    def _learn(self, at: float, value: float, step: float, *, anomalous: bool) -> None:
        gauge = self._gauge
        gauge.learn(step, max(HOUR, LIFE_WINDOWS * step), usual=not anomalous, suspect=False)
        self._at = at
        self._seen += 1
        spent = max(0.0, value)
        self._mean += max(1.0 / self._seen, step / DAY) * (spent - self._mean)
        self._learn_hour(min(spent, max(0.0, gauge.usual)) if anomalous else spent)
        if not anomalous:
            self._since = 0.0
        elif not self._since:
            self._since = at
        elif at - self._since >= DAY:
            gauge.adopt()
            self._since = 0.0
        gauge.refresh()

    def _learn_hour(self, value: float) -> None:
        self._hours.add(value, 0.0)

    def config(self) -> Any:
        return [self.warmup]

    def state_dict(self) -> Snapshot:
        numbers = [self._at, self._mean, self._seen, self._since]
        return {"gauge": self._gauge.to_json(), "hours": self._hours.to_json(), "numbers": numbers}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._gauge, self._hours = self.kind.from_json(state["gauge"]), Hours.from_json(state["hours"])
        self._at, self._mean, self._seen, self._since = state["numbers"]


class RequestedSpend(Spend):
    """The same of what comes by requests, many in a window: as they please, so that one high window says little."""

    name: ClassVar[str] = "requested_spend"
    count: ClassVar[float] = COUNTABLE


class OrderedSpend(Spend):
    """The same of what comes in orders, as GPUs do: they know no hours."""

    name: ClassVar[str] = "ordered_spend"
    kind: ClassVar[type[Gauge]] = OrderGauge

    def _upper(self, hours: Hours, at: float, step: float) -> float:  # noqa: ARG002
        return 0.0

    def _learn_hour(self, value: float) -> None:
        pass
