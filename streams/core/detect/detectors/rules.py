"""The two rules that most spend alerting is made of, for comparison."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

from streams.core.detect.detectors.base import Detector, Snapshot, State, Verdict, scorable, unscored
from streams.core.detect.detectors.moments import FLAT_SD
from streams.core.detect.detectors.repeat import Repeat

DAY = 86_400.0
MOST = 1e9  # score of a spend that is over a limit of nothing


class StaticThreshold(Detector):
    """Anomalous above a limit that somebody set, in the series' unit. Alerts again only after `quiet` seconds."""

    name: ClassVar[str] = "static-threshold"
    version: ClassVar[int] = 1

    def __init__(self, limit: float = 500.0, warm_up: int = 1, quiet: float = DAY) -> None:
        self.limit = limit
        self.warm_up = warm_up  # points without a verdict: even a limit may be wrong about a part of a first window
        self.seen = 0
        self.repeat = Repeat(quiet)

    def update(self, at: float, value: float | None) -> Verdict:
        low = min(0.0, self.limit)
        if not scorable(value, at):
            return unscored(low)
        self.seen += 1
        if self.seen <= self.warm_up:
            return Verdict(0.0, False, low, State.WARMING)
        score = _ratio(value, self.limit)
        state = State.ANOMALOUS if score > 1.0 else State.NORMAL
        return Verdict(score, self.repeat.alert(at, score), low, state)

    def band(self, at: float) -> tuple[float, float]:  # noqa: ARG002
        return min(0.0, self.limit), max(0.0, self.limit)

    def config(self) -> list[float]:
        return [self.limit, self.warm_up, self.repeat.quiet]

    def state_dict(self) -> Snapshot:
        return {"seen": self.seen, "repeat": self.repeat.last}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.seen, self.repeat.last = state["seen"], state["repeat"]


class TimesTrailingMean(Detector):
    """The industry's rule: a day over three times the mean of the seven days before it.

    A "day" is the trailing 24 hours here, so that the rule can speak before midnight. Values are summed in slots of an
    hour. Its band is what this one point may be, given the rest of its day.
    """

    name: ClassVar[str] = "times-trailing-mean"
    version: ClassVar[int] = 1

    def __init__(self, times: float = 3.0, days: int = 7, per_day: int = 24, quiet: float = DAY) -> None:
        self.times = times
        self.slots = (days + 1) * per_day
        self.per_day = per_day
        self.sums = array("d", bytes(8 * self.slots))  # a ring by time: the newest day and the `days` before it
        self.newest: int | None = None  # number of the newest slot since the epoch
        self.oldest = 0  # number of the first slot ever
        self.repeat = Repeat(quiet)

    def update(self, at: float, value: float | None) -> Verdict:
        if not scorable(value, at):
            return unscored(0.0)
        slot, usual, today = self._look(at)
        self.sums[slot % self.slots] += value
        expected = usual - today
        if slot - self.oldest < self.slots - 1:
            return Verdict(0.0, False, expected, State.WARMING)
        score = _ratio(today + value, self.times * usual)
        state = State.ANOMALOUS if score > 1.0 else State.NORMAL
        return Verdict(score, self.repeat.alert(at, score), expected, state)

    def band(self, at: float) -> tuple[float, float]:
        if not scorable(0.0, at):
            return 0.0, 0.0
        _, usual, today = deepcopy(self)._look(at)  # of a copy, for it moves the ring on
        return min(0.0, usual - today), max(usual - today, self.times * usual - today)

    def _look(self, at: float) -> tuple[int, float, float]:
        """The slot of that time, the usual sum of a day, and that of the day up to now."""
        slot = self._turn(int(at // (DAY / self.per_day)))
        today = sum(self.sums[(slot - back) % self.slots] for back in range(self.per_day))
        usual = (sum(self.sums) - today) / (self.slots // self.per_day - 1)
        return slot, usual, today

    def _turn(self, slot: int) -> int:
        """Move the ring on to `slot` and empty the slots that are reused. What comes late counts as of the newest."""
        if self.newest is None:
            self.oldest = self.newest = slot
        for passed in range(max(self.newest, slot - self.slots) + 1, slot + 1):
            self.sums[passed % self.slots] = 0.0
        self.newest = max(self.newest, slot)
        return self.newest

    def config(self) -> list[float]:
        return [self.times, self.slots, self.per_day, self.repeat.quiet]

    def state_dict(self) -> Snapshot:
        return {
            "sums": self.sums.tolist(),
            "newest": self.newest,
            "oldest": self.oldest,
            "repeat": self.repeat.last,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        if len(state["sums"]) != self.slots:
            raise ValueError(f"{len(state['sums'])} sums for {self.slots} slots")
        self.sums = array("d", state["sums"])
        self.newest, self.oldest, self.repeat.last = state["newest"], state["oldest"], state["repeat"]


def _ratio(value: float, limit: float) -> float:
    """How many times over the limit (>= 0): above 1 is over."""
    if value <= limit:
        return max(0.0, min(1.0, value / limit)) if limit > 0.0 else 0.0
    return max(1.0 + FLAT_SD, min(value / limit, MOST)) if limit > 0.0 else MOST
