"""One quantity of one series (spend, cost per request, price of input): how far above its usual, over several spans.

A quantity is a ratio of sums, so that a span of windows is judged by its sum and not by the mean of its ratios. What
every gauge learns of it is here; what it calls unusual is its kind's: `RatioGauge` and `OrderGauge`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import exp, log
from typing import Any, NamedTuple, Self

from streams.core.detect.heights import Habits, Heights

SPANS = (1, 3, 10)  # windows
_, MIDDLE, LONGEST = SPANS
FEW = 20  # windows: a usual of fewer would let ordinary windows set records that hide the next incident
MARGINS = (log(1.7), log(1.5), log(1.4))  # how far beyond the record, per span
CLEARLY = 0.5  # of the margin, that the next must be above a habit
YOUNG = (log(1.25), log(1.5), log(2.0))  # added at birth, per span: longer ones see the day's tide, not known yet
DAY = 86_400.0
GROWN = DAY  # seconds in which that fades to 1/e
GENERATION = 7 * DAY  # the most that a generation of records lasts: a week has been seen in full then
MANY = 30  # windows, and no less
LEARNING_HOURS = 1.0  # in which the usual is smoothed, and no less than
LEARNING_WINDOWS = 12.0  # windows
STRAYS = 100  # windows in which is smoothed how far an ordinary one strays
STEADY_GAIN = 1.0 / STRAYS  # of one window, by then

FIELDS_V1, FIELDS = 13, 18  # of the state that release 0.1 wrote, and of what a gauge of any kind writes now
HUGE = 1e60  # a ratio beyond is that much, whatever it is
LOG_HUGE = log(HUGE)
NO_LOGS = [0.0] * len(SPANS)


class Reading(NamedTuple):
    """How one window, and the spans that end with it, stand to the usual."""

    score: float  # above 1 is unusual
    ratio: float  # observed / reference over the span of the highest score
    span: int  # windows
    now: float  # the newest window's own score; below half, which nobody looks at, it may be told as 0


CALM = Reading(0.0, 1.0, 1, 0.0)


def life_of(seconds: int) -> float:
    """Seconds over which the usual of windows of so many is smoothed."""
    return max(LEARNING_HOURS * 3600.0, LEARNING_WINDOWS * seconds)


class Gauge(ABC):
    """Learns a ratio's usual value and range. `num`/`den` are one window's; a window with no `den` isn't given."""

    __slots__ = (
        "age", "den", "dens", "doubts", "habits", "heights", "held", "least", "logs", "num", "nums", "past", "records",
        "reference", "scale", "seen", "skip", "stray", "until", "usual", "values",
    )  # fmt: skip

    def __init__(self, scale: float = 1.0, least: float = 1.0) -> None:
        self.scale = scale  # of floors and margins: a price strays less than a volume
        self.least = least  # of them, that even the steadiest series keeps
        self.nums: list[float] = []
        self.dens: list[float] = []
        self.reference = 0.0
        self.logs = NO_LOGS
        self.skip = 0  # bit n: the n-th newest window is not to be learnt
        self.num = 0.0  # smoothed, of windows older than the longest span
        self.den = 0.0
        self.seen = 0  # windows behind the smoothed values
        self.age = 0.0  # seconds watched
        self.records = [0.0, 0.0, 0.0]  # of this generation
        self.held = NO_LOGS  # of windows under suspicion: records when it comes to nothing
        self.past = NO_LOGS  # of the one before
        self.usual = 0.0  # the usual ratio, as of before the newest window
        self.stray = 1.0  # how far an ordinary window is from the reference, as a part of it, in the mean
        self.doubts: list[float] = []  # the same of windows under suspicion, not learnt yet
        self.values = NO_LOGS  # the ratio of each span that ends with the newest window
        self.heights = Heights()  # of these
        self.habits: Habits | None = None  # of logs, then values; made with the first incident
        self.until = DAY  # the age at which this generation ends: the first, that knew no yesterday, soon

    @abstractmethod
    def judge(
        self, num: float, den: float, upper: float, little: float, *, pad: float = 0.0, count: float = 0.0,
        sensitivity: float | None = 1.0, rough: bool = False,
    ) -> Reading:  # fmt: skip
        """Take the window in and score it against the usual, and where hours of the day count against `upper`, which
        other days had at this hour; `little` is a ratio that hardly matters, so that a series that rests at zero does
        not see miracles. `pad` is a `den` of next to no weight: so much of the reference is added, so that a handful of
        requests does not set a record. `count` is how many requests a window usually has, 0 for what isn't counted: few
        of them come unevenly by chance alone. `sensitivity`: None where too little is known to score anything. `rough`:
        a score below half, which nobody looks at, may be told as 0."""

    @abstractmethod
    def limit(self, upper: float, little: float, count: float = 0.0) -> float:
        """The most that a window may be and, by itself, still be usual. As of the last `refresh`. `count`: requests in
        it, 0 where they aren't counted."""

    @property
    def youth(self) -> float:
        """1 at birth, fading as the series gets to know its days."""
        return exp(-self.age / GROWN)

    def see(self, num: float, den: float, upper: float, little: float, pad: float = 0.0) -> None:
        """Take the window in without scoring it: set `values`, the ratio of each span, and `logs`, how far each is
        above the usual or `upper`, the larger of them; 0 where it isn't."""
        self.refresh()
        usual, nums, dens = self.usual, self.nums, self.dens
        reference = self.reference = max(usual, upper)
        nums.append(num)
        dens.append(den)
        self.skip = (self.skip << 1) & 0x7FF
        self.logs = self.values = NO_LOGS
        base = reference + little
        if base <= 0:
            return
        seen, more = len(nums), pad * reference
        values = [(num + more) / (den + pad), 0.0, 0.0]
        if seen >= MIDDLE:  # spelt out: this is done for every window of every series
            values[1] = (sum(nums[-MIDDLE:]) + more) / (sum(dens[-MIDDLE:]) + pad)
        if seen >= LONGEST:
            values[2] = (sum(nums[-LONGEST:]) + more) / (sum(dens[-LONGEST:]) + pad)
        self.values = values
        logs = NO_LOGS
        for index, value in enumerate(values):
            if value + little > base and seen >= SPANS[index]:
                ratio = (value + little) / base
                logs = [0.0, 0.0, 0.0] if logs is NO_LOGS else logs
                logs[index] = log(ratio) if ratio < HUGE else LOG_HUGE
        self.logs = logs

    def refresh(self) -> None:
        """Set `usual`: while few windows are old enough to be smoothed, from all but the newest."""
        num, den, seen = self.num, self.den, self.seen
        if seen < FEW:
            num, den = seen * num + sum(self.nums), seen * den + sum(self.dens)
        self.usual = num / den if den > 0 else 0.0

    def learn(self, seconds: float, life: float, *, usual: bool, suspect: bool) -> None:
        """Learn the window that `judge` took in, if it was usual; what leaves the longest span is smoothed over `life`.

        Must be called after each `judge`.
        """
        logs = self.logs
        if usual:
            self._watch_stray(suspect=suspect)
            self.heights.learn(self.values, suspect=suspect)
            if suspect or logs is not NO_LOGS or self.held is not NO_LOGS:  # else it is above nothing
                self._watch_records(suspect=suspect)
        else:
            self.skip |= 1
            if logs is not NO_LOGS:
                self.habits = self.habits or Habits()
                self.habits.put([*logs, *self.values], self.age)
        self.values = NO_LOGS
        self._grow(seconds)
        if len(self.nums) > LONGEST:
            self._smooth(self.nums.pop(0), self.dens.pop(0), seconds, life)

    def _watch_records(self, *, suspect: bool) -> None:
        """Learn how far the newest window goes; under suspicion, when it has come to nothing."""
        logs, records = self.logs, self.records
        if suspect:
            self.held = [max(pair) for pair in zip(self.held, logs, strict=True)]
            return
        if not self.seen:
            return
        if self.held is not NO_LOGS:
            logs, self.held = [max(pair) for pair in zip(self.held, logs, strict=True)], NO_LOGS
        if logs[0] > records[0] or logs[1] > records[1] or logs[2] > records[2]:  # seldom
            records[:] = map(max, records, logs)  # in place: a list made of these is larger

    def _watch_stray(self, *, suspect: bool) -> None:
        """Learn how far the newest window is from the reference; under suspicion, when it has come to nothing."""
        reference = self.reference * self.dens[-1]
        if not self.seen or reference <= 0:
            return
        off = self.nums[-1] / reference - 1.0
        doubt = abs(off) if -1.0 < off < 1.0 else 1.0
        gain = STEADY_GAIN if self.seen > STRAYS else 1.0 / self.seen
        if not suspect and not self.doubts:  # most windows
            self.stray += gain * (doubt - self.stray)
            return
        self.doubts.append(doubt)
        if suspect:
            del self.doubts[:-STRAYS]
            return
        for doubt in self.doubts:
            self.stray += gain * (doubt - self.stray)
        self.doubts.clear()

    def _smooth(self, num: float, den: float, seconds: float, life: float) -> None:
        if self.skip & (1 << LONGEST):
            return
        if self.seen >= 30 and num > self.reference * den:  # the cap is beyond that
            cap = (self.reference * exp(max(self.records[0], self.past[0]) + MARGINS[0] * self.scale)) * den
            if num > cap > 0:
                num = cap
        self.seen += 1
        gain = max(1.0 / self.seen, seconds / life)
        self.num += gain * (num - self.num)
        self.den += gain * (den - self.den)

    def forget(self, windows: int) -> None:
        """Don't learn the newest `windows`: they turned out unusual."""
        self.held = NO_LOGS
        self.heights.forget()
        self.doubts.clear()
        self.skip |= (1 << min(windows, LONGEST + 1)) - 1

    def cut(self, windows: int) -> None:
        """Only the newest `windows` go on counting: what was before them is over."""
        self.nums, self.dens = self.nums[-windows:], self.dens[-windows:]
        self.logs = self.values = NO_LOGS  # what they hold of it is no record

    def rest(self, windows: int, seconds: int, life: float) -> None:
        """`windows` with nothing went by."""
        gone = min(windows, LONGEST)
        self.nums = (self.nums + [0.0] * gone)[-LONGEST:]
        self.dens = (self.dens + [1.0] * gone)[-LONGEST:]
        keep = (1.0 - max(1.0 / max(1, self.seen), seconds / life)) ** windows
        self.num, self.den = self.num * keep, self.den * keep + 1.0 - keep
        self.seen += windows
        self._grow(windows * seconds)
        self.skip = 0

    def idle(self, windows: int, seconds: int, upper: float) -> None:
        """So many more windows with nothing in them, while it `is_idle`: as if each had been judged and learnt, to the
        last bit."""
        life = life_of(seconds)
        for _ in range(windows):
            self.refresh()
            if self.seen and max(self.usual, upper) > 0.0:
                self.stray += 1.0 / min(self.seen, STRAYS) * (1.0 - self.stray)
            self._grow(seconds)
            self._smooth(0.0, 1.0, seconds, life)

    @property
    def is_idle(self) -> bool:
        """Whether the spans hold nothing any more, and nothing of before waits to be learnt."""
        return (
            len(self.nums) == LONGEST
            and not any(self.nums)
            and self.num >= 0.0
            and not self.skip
            and not self.doubts
            and self.held is NO_LOGS
            and self.heights.is_settled
        )

    def _grow(self, seconds: float) -> None:
        """Records last for one to two generations, which get longer with age: 1, 2, 4, then 7 days."""
        self.age += seconds
        if self.age >= self.until:
            self._next_generation()
            self.until = self.age + min(max(GENERATION, MANY * seconds), self.age + DAY)

    def _next_generation(self) -> None:
        self.past, self.records = self.records, [0.0, 0.0, 0.0]
        self.heights.grow()

    def met(self, height: float) -> None:
        """A log-ratio that turned out to be nothing: the same again shall not be told."""
        for index, margin in enumerate(MARGINS):
            self.records[index] = max(self.records[index], height - margin * self.scale)
        self._learn_heights()

    def _learn_heights(self) -> None:
        """What the incident under way has come to is how this series is at times."""
        if self.habits is not None and self.habits.peaks:
            self.heights.learn(self.habits.peaks[len(SPANS) :], suspect=False)

    def passed(self, *, by_itself: bool) -> None:
        """An incident is over. What has become a habit is told only where it is clearly higher."""
        if self.habits is None:
            return
        for heights in self.habits.over(by_itself=by_itself):
            self.heights.learn(heights[len(SPANS) :], suspect=False)
            for index, margin in enumerate(MARGINS):
                self.records[index] = max(self.records[index], heights[index] - CLEARLY * margin * self.scale)

    def adopt(self) -> None:
        """The present level is the usual one from now on."""
        dens = sum(self.dens)
        if dens > 0:
            self.num, self.den = sum(self.nums) / len(self.nums), dens / len(self.dens)
        self.skip = 0
        self.refresh()

    def span_ratio(self, span: int) -> float:
        """The ratio over the newest `span` windows."""
        dens = sum(self.dens[-span:])
        return sum(self.nums[-span:]) / dens if dens else 0.0

    def to_json(self) -> list[Any]:
        """What lasts from one window to the next."""
        return [
            self.nums, self.dens, self.skip, self.num, self.den, self.seen, self.age, self.until, self.scale,
            list(self.records), self.past, self.held, self.usual, self.stray, self.least, self.doubts,
            self.heights.to_json(), self.habits.to_json() if self.habits is not None else None,
        ]  # fmt: skip

    @classmethod
    def from_json(cls, state: list[Any]) -> Self:
        """The reverse, also of what older releases wrote."""
        gauge = cls()
        gauge.nums, gauge.dens = list(state[0]), list(state[1])
        gauge.skip, gauge.num, gauge.den, gauge.seen, gauge.age, gauge.until, gauge.scale = state[2:9]
        gauge.records = list(state[9])
        gauge.past, gauge.held = (list(logs) if any(logs) else NO_LOGS for logs in state[10:12])
        gauge.usual = state[12]
        if len(state) > FIELDS_V1:
            gauge.stray, gauge.least, gauge.doubts = state[13], state[14], list(state[15])
            gauge.heights = Heights.from_json(state[16])
            gauge.habits = Habits.from_json(state[17]) if state[17] is not None else None
        else:
            gauge.heights.past = None  # release 0.1 didn't look
        return gauge
