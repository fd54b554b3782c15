"""One quantity of one series (spend, cost per request, price of input): how far above its usual, over several spans.

A quantity is a ratio of sums, so that a span of windows is judged by its sum and not by the mean of its ratios. How far
above is learnt, not assumed: each span keeps the highest log-ratio it has reached on ordinary days, and only what goes
clearly beyond that record is unusual. So a bursty series earns itself a wide band, and a steady one a narrow band.
"""

from __future__ import annotations

from math import exp, log
from typing import Any, NamedTuple

SPANS = (1, 3, 10)  # windows
LONGEST = SPANS[-1]
FLOORS = (log(2.0), log(1.5), log(1.3))  # never call less than this unusual, per span
MARGINS = (log(1.6), log(1.35), log(1.2))  # how far beyond the record, per span
YOUNG = log(2.0)  # added to the margins at birth, fading as records become trustworthy
GROWN = 86_400.0  # seconds in which that fades to 1/e
RECORD_LIFE = 14 * 86_400.0  # seconds in which a record fades to 1/e


class Reading(NamedTuple):
    """How one window, and the spans that end with it, stand to the usual."""

    score: float  # above 1 is unusual
    ratio: float  # observed / reference over the span of the highest score
    span: int  # windows
    now: float  # the newest window's own score


CALM = Reading(0.0, 1.0, 1, 0.0)


class Gauge:
    """Learns a ratio's usual value and range. `num`/`den` are one window's; a window with no `den` isn't given."""

    __slots__ = ("age", "den", "dens", "low", "num", "nums", "records", "seen", "skip")

    def __init__(self) -> None:
        self.nums: list[float] = []
        self.dens: list[float] = []
        self.skip = 0  # bit n: the n-th newest window is not to be learnt
        self.num = 0.0  # smoothed, of windows older than the longest span
        self.den = 0.0
        self.seen = 0  # windows behind the smoothed values
        self.age = 0.0  # seconds watched
        self.records = [0.0, 0.0, 0.0]
        self.low = [0.0, 0.0]  # the deepest log-ratios of the two longer spans

    @property
    def usual(self) -> float:
        """The usual ratio."""
        if self.den > 0:
            return self.num / self.den
        dens = sum(self.dens[:-1])
        return sum(self.nums[:-1]) / dens if dens else 0.0

    def thresholds(self, sensitivity: float = 1.0) -> list[float]:
        """The log-ratio from which each span is unusual."""
        young = YOUNG * exp(-self.age / GROWN)
        return [
            max(floor, record + margin + young) / sensitivity
            for floor, record, margin in zip(FLOORS, self.records, MARGINS, strict=True)
        ]

    def judge(self, num: float, den: float, upper: float, little: float, sensitivity: float = 1.0) -> Reading:
        """Take the window in and score it against the larger of the usual and `upper`; `little` is a ratio that hardly
        matters, so that a series that rests at zero does not see miracles."""
        reference = max(self.usual, upper) if self.seen or self.nums else upper
        self.nums.append(num)
        self.dens.append(den)
        self.skip = (self.skip << 1) & 0x7FF
        if reference + little <= 0:
            return CALM
        logs = self._logs(reference, little)
        thresholds = self.thresholds(sensitivity)
        scores = [ratio / threshold for ratio, threshold in zip(logs, thresholds, strict=True)]
        best = max(range(3), key=scores.__getitem__)
        return Reading(scores[best], exp(logs[best]), SPANS[best], scores[0])

    def learn(self, upper: float, little: float, seconds: float, life: float, *, usual: bool) -> None:
        """Learn the window that `judge` took in, if it was usual; what leaves the longest span is smoothed over `life`.

        Must be called after each `judge`.
        """
        reference = max(self.usual, upper)
        if usual and reference + little > 0:
            fade = 1.0 - seconds / RECORD_LIFE
            logs = self._logs(reference, little)
            self.records = [max(record * fade, ratio) for record, ratio in zip(self.records, logs, strict=True)]
            typical = log((self.span_ratio(3) + little) / (self.usual + little)) if self.usual + little > 0 else 0.0
            typical10 = log((self.span_ratio(10) + little) / (self.usual + little)) if self.usual + little > 0 else 0.0
            self.low = [min(self.low[0] * fade, typical), min(self.low[1] * fade, typical10)]
        elif not usual:
            self.skip |= 1
        self.age += seconds
        if len(self.nums) > LONGEST:
            self._smooth(self.nums.pop(0), self.dens.pop(0), reference, seconds, life)

    def _smooth(self, num: float, den: float, reference: float, seconds: float, life: float) -> None:
        if self.skip & (1 << LONGEST):
            return
        cap = (reference * exp(self.records[0] + MARGINS[0])) * den
        if self.seen >= 30 and cap > 0:
            num = min(num, cap)
        self.seen += 1
        gain = max(1.0 / self.seen, seconds / life)
        self.num += gain * (num - self.num)
        self.den += gain * (den - self.den)

    def forget(self, windows: int) -> None:
        """Don't learn the newest `windows`: they turned out unusual."""
        self.skip |= (1 << min(windows, LONGEST + 1)) - 1

    def rest(self, windows: int, seconds: int, life: float) -> None:
        """`windows` with nothing went by."""
        gone = min(windows, LONGEST)
        self.nums = (self.nums + [0.0] * gone)[-LONGEST:]
        self.dens = (self.dens + [1.0] * gone)[-LONGEST:]
        keep = (1.0 - max(1.0 / max(1, self.seen), seconds / life)) ** windows
        self.num, self.den = self.num * keep, self.den * keep + 1.0 - keep
        self.seen += windows
        self.age += windows * seconds
        self.skip = 0

    def adopt(self) -> None:
        """The present level is the usual one from now on."""
        dens = sum(self.dens)
        if dens > 0:
            self.num, self.den = sum(self.nums) / len(self.nums), dens / len(self.dens)
        self.skip = 0

    def span_ratio(self, span: int) -> float:
        """The ratio over the newest `span` windows."""
        dens = sum(self.dens[-span:])
        return sum(self.nums[-span:]) / dens if dens else 0.0

    def _logs(self, reference: float, little: float) -> list[float]:
        base = reference + little
        nums, dens = self.nums, self.dens
        out = []
        for span in SPANS:
            if len(nums) < span:
                out.append(0.0)
                continue
            den = sum(dens[-span:])
            ratio = sum(nums[-span:]) / den if den else 0.0
            out.append(log(max(ratio + little, 1e-30) / base))
        return out

    def to_json(self) -> list[Any]:
        return [self.nums, self.dens, self.skip, self.num, self.den, self.seen, self.age, self.records, self.low]

    @classmethod
    def from_json(cls, state: list[Any]) -> Gauge:
        gauge = cls()
        gauge.nums, gauge.dens = list(state[0]), list(state[1])
        gauge.skip, gauge.num, gauge.den, gauge.seen, gauge.age = state[2:7]
        gauge.records, gauge.low = list(state[7]), list(state[8])
        return gauge
