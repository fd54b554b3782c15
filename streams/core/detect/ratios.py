"""What is unusual by its ratio to the usual: spend that comes as it pleases, what requests cost, prices.

How far above is learnt, not assumed: each span keeps the highest log-ratio it has reached on ordinary days, and only
what goes clearly beyond that record is unusual. So a bursty series earns itself a wide band, and a steady one a narrow
band.
"""

from __future__ import annotations

from math import exp, log, sqrt
from operator import truediv

from streams.core.detect.gauge import (
    CALM,
    DAY,
    FEW,
    HUGE,
    LONGEST,
    MARGINS,
    NO_LOGS,
    SPANS,
    YOUNG,
    Gauge,
    Reading,
    life_of,
)

FLOORS = (log(3.0), log(2.5), log(2.2))  # never call less than this unusual, per span
STEADY = 0.15  # of the usual, that an ordinary window strays: below, floors and margins shrink with it
CHANCE = 5.0  # standard deviations by which requests may come unevenly
COUNTABLE = 100.0  # requests per window: of more, chance is below every floor
SURELY = 0.999  # of a limit that is worked out in another way
NEAR = log(0.85)  # of the highest that a series has been: what comes not even near to that is ordinary,
BELOW = 3.0  # unless it scores so much more for each e-th part of that highest
HALF = 0.5  # of a floor: below, nothing is unusual


def by_chance(count: float, span: int) -> float:
    """The log-ratio that so few requests a window come to by chance; 0 for what isn't counted, or countless."""
    return log(1.0 + CHANCE * sqrt(2.0 / (count * span))) if 0 < count < COUNTABLE else 0.0


class RatioGauge(Gauge):
    """Judges each span by its ratio to the usual of the last hour or of this hour on other days, the larger of them."""

    __slots__ = ()

    def judge(
        self, num: float, den: float, upper: float, little: float, *, pad: float = 0.0, count: float = 0.0,
        sensitivity: float | None = 1.0, rough: bool = False,
    ) -> Reading:  # fmt: skip
        self.see(num, den, upper, little, pad)
        logs = self.logs
        if logs is NO_LOGS or sensitivity is None or (rough and self._is_low(logs, sensitivity)):
            return CALM
        scores = list(map(truediv, logs, self.thresholds(sensitivity, count)))
        if self.age >= DAY:
            self._weigh_heights(scores, sensitivity, count)
        best = scores.index(max(scores))
        return Reading(scores[best], exp(logs[best]), SPANS[best], scores[0])

    def limit(self, upper: float, little: float, count: float = 0.0) -> float:
        base = max(self.usual, upper) + little
        limit = base * exp(self.thresholds(count=count, spans=1)[0]) - little
        highest = self.heights.highest(0)
        if not count and self.age >= DAY and 0 < highest < limit:  # see _weigh_heights
            margin, floor = self._clear()
            limit = min(limit, max(highest * exp(margin), base * exp(floor) - little))
        return limit

    def thresholds(self, sensitivity: float = 1.0, count: float = 0.0, spans: int = len(SPANS)) -> list[float]:
        """The log-ratio from which each of the first `spans` is unusual."""
        young = self.youth
        scale, stretch = self.scale * self._unrest(), self._stretch()
        # What is usual at times stays usual however touchy one is: only what goes beyond is told sooner.
        calmer = min(1.0, sensitivity)
        thresholds = []
        for index in range(spans):
            known = max(self.records[index], self.past[index]) * stretch / calmer
            further = known + (MARGINS[index] + YOUNG[index] * young) * scale / sensitivity
            thresholds.append(max(FLOORS[index] * scale / sensitivity, further))
        if not 0 < count < COUNTABLE:
            return thresholds
        return [max(threshold, by_chance(count, span)) for threshold, span in zip(thresholds, SPANS, strict=False)]

    def stays_calm(self, seconds: int, upper: float, sensitivity: float) -> bool:
        """Whether windows with nothing in them, following each other, will each be usual: what the spans hold gets less
        then, and what they must exceed no less than is assumed here. `upper` is that of them all."""
        if self.seen < FEW or self.doubts or self.num < 0.0 or min(self.nums, default=0.0) < 0.0:
            return False
        if self.age + (LONGEST + 1) * seconds >= self.until:
            return False  # records will be forgotten
        fade = (1.0 - max(1.0 / self.seen, seconds / life_of(seconds))) ** LONGEST
        reference = max(fade * self.num / self.den, upper) if self.den > 0 else upper
        unit, calmer = self.scale * self._unrest() / sensitivity, min(1.0, sensitivity)
        for index in (1, 2):  # a span of one window holds nothing
            record, span = max(self.records[index], self.past[index]), SPANS[index]
            threshold = max(FLOORS[index] * unit, record / calmer + MARGINS[index] * unit)
            if sum(self.nums[1 - span :]) > SURELY * span * reference * exp(threshold):
                return False
        return True

    def _unrest(self) -> float:
        """The part of floors and margins that what strays so little needs: a flat bill does not double by chance."""
        return max(self.least, self.stray / STEADY) if self.stray < STEADY else 1.0

    def _stretch(self) -> float:
        """What a day would make of the records so far: the largest of n grows about as the root of log n."""
        if self.age >= DAY or self.seen < 2:
            return 1.0
        return sqrt(log(self.seen * DAY / self.age) / log(self.seen))

    def _weigh_heights(self, scores: list[float], sensitivity: float, count: float) -> None:
        """What is high for the hour, but not for so restless a series, is unusual all the same where it is clearly
        higher than this series has ever been. And what it comes near to on ordinary days is not unusual."""
        for index, value in enumerate(self.values):
            highest = self.heights.highest(index)
            if value <= 0 or highest <= 0 or (value <= highest and scores[index] <= 1.0):  # mostly: nothing to change
                continue
            above = log(min(max(value / highest, 1.0 / HUGE), HUGE))
            if above < NEAR and scores[index] < 1.0 - BELOW * above:
                scores[index] = min(scores[index], 1.0)
            elif above > 0:
                scores[index] = max(scores[index], self._beyond(index, above, sensitivity, count))

    def _beyond(self, index: int, above: float, sensitivity: float, count: float) -> float:
        """The score of a span that is so far above the highest, in logs. Requests come as they please: one window of
        them says nothing. Of what isn't counted, a bill's line or a price, it says enough."""
        if count <= 0 and not index:
            margin, floor = self._clear(sensitivity)
        elif count > 0 and index:
            scale = self.scale / sensitivity
            margin = (MARGINS[index] + YOUNG[index] * self.youth) * scale
            floor = max(FLOORS[index] * scale * self._unrest(), by_chance(count, SPANS[index]))
        else:
            return 0.0
        return min(above / margin, self.logs[index] / floor)

    def _clear(self, sensitivity: float = 1.0) -> tuple[float, float]:
        """How far above the highest, and above the reference, one window of what isn't counted is unusual, in logs."""
        scale = self.scale / sensitivity * self._unrest()
        return (MARGINS[0] + YOUNG[0] * self.youth) * scale, HALF * FLOORS[0] * scale

    def _is_low(self, logs: list[float], sensitivity: float) -> bool:
        """Whether every span is below half its floor, and so of any threshold: most windows are."""
        half = HALF * self.scale * self._unrest() / sensitivity
        return logs[0] <= half * FLOORS[0] and logs[1] <= half * FLOORS[1] and logs[2] <= half * FLOORS[2]
