"""The four quantities that a series is judged by: its spend, the cost of a request, the price of its input, and what
output costs.

The spend of a key is noisy, for requests come as they please. What one request costs strays less, and what a token of
input costs hardly at all: so a bloated prompt or a lost cache shows long before the spend gives it away.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

from streams.core.detect.bucket import Bucket
from streams.core.detect.evenness import FLOOR as EVENLY
from streams.core.detect.evenness import Evenness
from streams.core.detect.gauge import CALM, LONGEST, Gauge, Reading, life_of
from streams.core.detect.hours import Hours
from streams.core.detect.output import Output
from streams.core.detect.ratios import RatioGauge
from streams.core.detect.rules import DAY, HOUR

LEVEL, SIZE, RATE, OUTPUT, OWN = range(5)
"""What a finding measures against: the usual spend, the usual cost of as many requests, the usual price of as much
input, the usual cost of as much output, or a figure of its own kind."""
SIZE_SCALE, PRICE_SCALE = 0.8, 0.2  # how much less the cost of a request and the price of input stray than the spend
STEADIEST = 0.4  # of what is unusual: what a steady series' spend comes down to
LITTLE = 0.02  # of the mean spend: below, a ratio says nothing
BACK = 0.2  # log-ratio: so near to the usual is back
GIANT = 32.0  # times its usual cost: so dear may one request be that nothing is wrong with
PAD = 0.1  # of the mean volume of a window: fewer requests than that say little of the cost of one
ENOUGH = (0.0, 1.0, 0.5, 1.5)  # of the usual spend, without which what is dearer by the piece is no trouble
GROWN_UP = 0.5  # of the series' age: what a gauge needs of it, up to a day
FIELDS_V1, FIELDS_V2 = 5, 6  # of the state that release 0.1 wrote, and of the one before it knew of output

Expected = tuple[float, float, float, float, float]
"""What each of LEVEL, SIZE, RATE, OUTPUT, OWN expects of a window, in USD."""
Readings = tuple[Reading, Reading, Reading, Reading]
"""How a window stands to the usual, by LEVEL, SIZE, RATE and OUTPUT."""


class Gauges:
    """The gauges of one series at one pace."""

    __slots__ = (
        "answers", "even", "level", "mean", "output", "rate", "seen", "size", "tokens", "upper", "volume", "weight",
    )  # fmt: skip

    def __init__(self, kind: type[Gauge] = RatioGauge) -> None:
        self.level: Gauge = kind(least=STEADIEST)
        self.size: Gauge | None = None  # only of what has requests or GPU-minutes
        self.rate: Gauge | None = None  # only of what has input tokens
        self.output: Output | None = None  # only of what has output tokens
        self.seen = 0  # windows
        self.mean = 0.0  # USD per window
        self.volume = 0.0  # requests or GPU-minutes per window
        self.tokens = 0.0  # input tokens per window
        self.answers = 0.0  # output tokens per window
        self.even: Evenness | None = None  # made with the first stretch that is high enough to ask
        self.weight = 1.0  # how many ordinary windows the one under judgement is, by its place in week and month
        self.upper = 0.0  # of the window under judgement: the most of other days at this hour, and of the last hours

    @property
    def little(self) -> float:
        """Spend of a window that hardly matters, in USD."""
        return LITTLE * self.mean

    def judge(self, bucket: Bucket, hours: Hours, sensitivity: float | None, *, one: bool) -> Readings:
        """Score a window; `learn` must follow. Only where `one` pays do the cost of a request and the price of input
        mean anything: among many they change with who comes and goes."""
        self.upper = upper_size = 0.0
        profile = hours.week
        if profile is not None:
            # Of what comes by the hour, the gauge itself still holds the last few.
            recent = hours.recent if bucket.seconds < HOUR else 0.0
            self.upper = max(profile.upper, recent) * bucket.hours
            upper_size = profile.size
        usd, volume, tokens = bucket.usd, bucket.volume, bucket.sums.input_tokens
        # GPU-minutes aren't counted, and come as they were ordered.
        count = self.volume if bucket.sums.requests else 0.0
        level = self.level.judge(
            usd, self.weight, self.upper, self.little, count=count, sensitivity=sensitivity, rough=True
        )
        size = rate = output = CALM
        if not one:
            self.size = self.rate = self.output = None
            return level, size, rate, output
        if volume > 0:
            self.size = self.size or RatioGauge(SIZE_SCALE)
            pad = PAD * self.volume
            size = self.size.judge(
                usd, volume, upper_size, 0.0, pad=pad, count=count, sensitivity=sensitivity, rough=True
            )
        if tokens > 0:
            self.rate = self.rate or RatioGauge(PRICE_SCALE)
            pad = PAD * self.tokens
            rate = self.rate.judge(bucket.input_usd, tokens, 0.0, 0.0, pad=pad, sensitivity=sensitivity, rough=True)
        answers = bucket.sums.output_tokens
        if answers > 0 and self.output is None:
            self.output = Output()
        if volume > 0 and self.output is not None:
            output = self.output.judge(usd, answers, (self.mean, self.answers), count, sensitivity)
        high = self.level.logs[-1]
        if count and sensitivity is not None and (high > EVENLY / sensitivity or (self.even and self.even.held)):
            level = self._evenly(level, sensitivity)
        return level, size, rate, output

    def _evenly(self, level: Reading, sensitivity: float) -> Reading:
        """The same, or more where the newest windows came so evenly that a machine repeats itself."""
        if self.size is None:
            return level
        height, self.even = self.level.logs[-1], self.even or Evenness()
        score = self.even.judge(height, self.size.dens[-LONGEST:], sensitivity, self.level.age)
        return Reading(score, exp(height), LONGEST, level.now) if score > 1.0 >= level.score else level

    def unusual(self, readings: Readings, bucket: Bucket, mid: float) -> int:
        """The broadest of LEVEL, SIZE, RATE, OUTPUT by which the window is unusually dear, in dollars too; or -1."""
        for basis, reading in enumerate(readings):
            if reading.score <= 1.0 or not self._is_grown(basis):
                continue
            spent = self.level.span_ratio(reading.span)
            if spent < ENOUGH[basis] * max(self.level.usual, mid):
                continue  # each request is dearer, but they come to no more than usual
            if spent * (1.0 - 1.0 / reading.ratio) >= bucket.least and not self._may_be_one(basis, reading):
                return basis
        return -1

    def _may_be_one(self, basis: int, reading: Reading) -> bool:
        """Whether one giant request could be all that is unusual: without it, or at the usual cost of so many requests,
        the span would be below the threshold."""
        size = self.size
        if basis == RATE or size is None or size.usual <= 0:
            return False
        costs = size.nums[-reading.span :]
        spent, requests = sum(costs), sum(size.dens[-reading.span :])
        giant = min(GIANT * size.usual, max(costs, default=0.0))  # it is in one window
        certain = max(min(spent, requests * size.usual), spent - giant)
        return certain < spent * exp(log(reading.ratio) * (1.0 / reading.score - 1.0))

    def _is_grown(self, basis: int) -> bool:
        """Whether this gauge has seen enough: one that came later than the series must have its day first."""
        if basis == OUTPUT:
            return self.level.age >= DAY
        gauge = (self.level, self.size, self.rate)[basis]
        return gauge is not None and gauge.age >= min(DAY, GROWN_UP * self.level.age)

    def expected(self, bucket: Bucket) -> Expected:
        """What each basis expects of this window."""
        level = self.level.usual * self.weight
        size = bucket.volume * self.size.usual if self.size is not None else level
        rate = bucket.usd
        if self.rate is not None and bucket.sums.input_tokens:
            rate += bucket.sums.input_tokens * self.rate.usual - bucket.input_usd
        output = level
        if self.output is not None:
            output = bucket.sums.output_tokens * self.output.usual
        return level, size, max(0.0, rate), output, 0.0

    def is_calm(self, basis: int, usual: float, height: float) -> bool:
        """Whether the newest windows are back near the usual, after an excess of that log-ratio. `usual` is in USD, and
        counts for LEVEL alone."""
        if basis == OUTPUT and self.output is not None:
            return self.output.is_calm(height) or self.level.span_ratio(1) <= self.little  # or it asks no more
        gauge = (self.level, self.size, self.rate, None, None)[basis]
        little = 0.0
        if gauge is None or gauge is self.level:
            gauge, little, usual = self.level, self.little, usual / self.weight
        else:
            usual = gauge.usual
        now = log(max(1e-30, min(gauge.span_ratio(1), gauge.span_ratio(3)) + little))
        if gauge is self.level and now < BACK + log(max(1e-30, gauge.reference + little)):
            return True  # so much other days had at this hour: it began in a lull
        return now < max(BACK, 0.5 * height) + log(max(1e-30, usual + little))

    def learn(self, bucket: Bucket, *, usual: bool, suspect: bool) -> None:
        """Learn the window that `judge` took in. What is not `usual` isn't learnt; what is under suspicion, later."""
        seconds = bucket.seconds
        life = life_of(seconds)
        self.level.learn(seconds, life, usual=usual, suspect=suspect)
        if self.size is not None and bucket.volume > 0:
            self.size.learn(seconds, life, usual=usual, suspect=suspect)
        if self.rate is not None and bucket.sums.input_tokens > 0:
            self.rate.learn(seconds, life, usual=usual, suspect=suspect)
        if self.output is not None and bucket.volume > 0:
            self.output.learn(seconds, life, usual=usual, suspect=suspect)
        self._average(bucket.usd, bucket.volume, bucket.sums.input_tokens, bucket.sums.output_tokens, seconds)

    def _average(self, usd: float, volume: float, tokens: float, answers: float, seconds: int) -> None:
        """Take a window into the means of a day."""
        self.seen += 1
        gain = max(1.0 / self.seen, min(1.0, seconds / DAY))
        self.mean += gain * (usd - self.mean)
        self.volume += gain * (volume - self.volume)
        self.tokens += gain * (tokens - self.tokens)
        self.answers += gain * (answers - self.answers)

    def rest(self, windows: int, seconds: int) -> None:
        """Silent windows went by."""
        self.level.rest(windows, seconds, life_of(seconds))
        self.seen += windows
        fade = (1.0 - min(1.0, seconds / DAY)) ** windows
        self.mean, self.volume = self.mean * fade, self.volume * fade
        self.tokens, self.answers = self.tokens * fade, self.answers * fade

    def idle(self, windows: int, seconds: int) -> None:
        """So many silent windows of the hour under way, of which nothing can be told: as if each had been judged and
        learnt, to the last bit."""
        level, life = self.level, life_of(seconds)
        while windows and not (level.is_idle and self.mean >= 0.0):
            level.see(0.0, self.weight, self.upper, self.little)
            level.learn(seconds, life, usual=True, suspect=False)
            self._average(0.0, 0.0, 0.0, 0.0, seconds)
            windows -= 1
        level.idle(windows, seconds, self.upper)
        for _ in range(windows):
            self._average(0.0, 0.0, 0.0, 0.0, seconds)

    def recent(self, mid: float) -> float:
        """The spend of the last windows as a part of the usual, or of `mid` where that is less: USD a window that other
        days had at this hour, 0 where unknown. 0 where nothing is usual."""
        level = self.level
        usual = min(level.usual, mid) if mid > 0 else level.usual
        return level.span_ratio(LONGEST) / usual if usual > 0 else 0.0

    def each(self) -> list[Gauge]:
        return [gauge for gauge in (self.level, self.size, self.rate) if gauge is not None]

    def forget(self, windows: int) -> None:
        """The newest windows turned out unusual: don't learn them."""
        for gauge in self.each():
            gauge.forget(min(windows, LONGEST + 1))
        if self.output is not None:
            self.output.forget()

    def met(self, height: float) -> None:
        """Spend of that log-ratio turned out to be nothing: the same again shall not be told."""
        self.level.met(height)
        if self.even is not None:
            self.even.met(height)
        if self.output is not None:
            self.output.excuse()

    def passed(self, *, by_itself: bool) -> None:
        """An incident is over. What has become a habit is told only where it is clearly higher."""
        for gauge in self.each():
            gauge.passed(by_itself=by_itself)
        if self.even is not None:
            self.even.passed(by_itself=by_itself)
        if self.output is not None:
            self.output.passed(by_itself=by_itself)

    def adopt(self) -> None:
        """The level of now is the usual one."""
        for gauge in self.each():
            gauge.adopt()
        if self.output is not None:
            self.output.excuse()

    def to_json(self) -> list[Any]:
        gauges = [gauge.to_json() if gauge is not None else None for gauge in (self.level, self.size, self.rate)]
        output = self.output.to_json() if self.output is not None else None
        even = self.even.to_json() if self.even is not None else None
        return [gauges, self.seen, self.mean, self.volume, self.tokens, self.weight, output, self.answers, even]

    @classmethod
    def from_json(cls, state: list[Any], kind: type[Gauge] = RatioGauge) -> Gauges:
        """The reverse; the spend is judged by `kind`, whatever an older release judged it by."""
        gauges = cls(kind)
        level, size, rate = state[0]
        gauges.level = kind.from_json(level)
        gauges.level.least = STEADIEST  # release 0.1 didn't say
        gauges.size = RatioGauge.from_json(size) if size is not None else None
        gauges.rate = RatioGauge.from_json(rate) if rate is not None else None
        gauges.seen, gauges.mean, gauges.volume, gauges.tokens = state[1:5]
        gauges.weight = state[5] if len(state) > FIELDS_V1 else 1.0
        if len(state) > FIELDS_V2:
            gauges.output = Output.from_json(state[6]) if state[6] is not None else None
            gauges.answers = state[7]
            gauges.even = Evenness.from_json(state[8]) if state[8] is not None else None
        return gauges
