"""One series under watch: judge each of its windows with what was known before, then learn it."""

from __future__ import annotations

from math import exp, log
from typing import Any

from schemas.records import Meter
from schemas.watch import Finding, FindingKind
from streams.core.detect.cadence import Pace
from streams.core.detect.creep import KNOWN, Creep
from streams.core.detect.gauge import CALM, LONGEST, RECORD_LIFE, Gauge, Reading
from streams.core.detect.lifecycle import Case, Stretch, record
from streams.core.detect.parts import Makeup, put
from streams.core.detect.profile import WeekProfile
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.detect.shares import IDLE, JUMP, Share
from streams.core.sums import SeriesKey, Sums, Window

LEVEL, SIZE, RATE, OWN = range(4)
LITTLE = 0.02  # of the mean spend: below, a ratio says nothing
SUSPECT = 0.5  # of the score that is unusual: from there on the parts are kept apart
PATIENCE = 3  # windows without suspicion that end it
ACTIVE = 10  # windows with spend that a judgement needs, however many were silent
MATTERS = 0.1  # of the minimum impact, per hour: less is not even recorded
SILENT = 0.02  # of the usual: less is a meter that has stopped
LONGER = 1.5  # times its longest silence a series must be silent, and three windows more, to be called broken
OUTAGE = 45 * 60  # providers have outages of up to half an hour; a silent meter costs nothing while one makes sure
TOO_LONG = 6 * HOUR  # a series that is silent for so long as a habit is never called broken
LEARNING_STOPS = {FindingKind.SPIKE, FindingKind.DROP}
Expected = tuple[float, float, float, float]  # USD, by `lifecycle.BASES`
SOURCES = {"token_call": {"principal"}, "gpu_usage": {"cluster", "accelerator"}, "line_item": {"service", "account"}}


class Series:
    """State of one series in one lane (meter and base width)."""

    __slots__ = (
        "active", "born", "cases", "creep", "end", "hour", "hour_usd", "key", "level", "longest", "makeup", "mean", "meter",
        "novel", "owned", "pace", "pending", "priced", "profile", "quiet", "rate", "seen", "silent", "size", "spent", "suspect",
        "used", "width", "zeros",
    )  # fmt: skip

    def __init__(self, meter: Meter, key: SeriesKey, width: int, start: int, novel: bool, fixed_pace: int) -> None:
        self.meter: Meter = meter
        self.key = key
        self.width = width  # seconds of the windows that come in
        self.born = start
        self.end = start  # of the newest window judged
        self.novel = novel  # new to a deployment that would know
        self.spent = 0.0  # since birth, while that is of interest
        self.pace = Pace(width, fixed_pace)
        self.pending: list[Window] = []
        self.cases: dict[FindingKind, Case] = {}
        self.profile: WeekProfile | None = None
        self.used: Share | None = None
        self.owned: Share | None = None
        self.priced = 0  # events with a price
        self._start_over()

    def _start_over(self) -> None:
        """Forget what was learnt at another pace."""
        self.seen = 0  # windows judged
        self.active = 0  # of them with spend
        self.zeros = 0  # windows without an event in a row
        self.silent = 0  # windows of next to no spend in a row
        self.longest = 0.0  # the most of them that were nothing unusual, slowly forgotten
        self.mean = 0.0  # USD per window
        self.level = Gauge()
        self.size: Gauge | None = None
        self.rate: Gauge | None = None
        self.makeup = Makeup()
        self.suspect: Stretch | None = None
        self.quiet = 0  # windows since the suspicion was last fed
        self.hour = -1
        self.hour_usd = 0.0
        self.creep = Creep()

    def is_warm(self, rules: WatchRules) -> bool:
        """Whether there is enough history to call anything normal."""
        return self.seen >= rules.warmup_windows and self.active >= min(ACTIVE, rules.warmup_windows)

    @property
    def asleep(self) -> bool:
        """Whether silence has nothing more to say."""
        return self.zeros > LONGEST + 2 and not self.cases and self.suspect is None and not self._may_drop()

    def add(self, window: Window) -> None:
        """Take in a base window, to be judged when its pace's bucket ends."""
        self.pending.append(window)
        if self.pace.learn(window.sums.events, window.aligned):
            self._start_over()

    def close(self, end: int, rules: WatchRules) -> list[Finding]:
        """The bucket that ends at `end` is complete: judge it, then learn it."""
        seconds = self.pace.seconds
        start = end - seconds
        self._catch_up(start, seconds)
        sums, cells = _merged(self.pending)
        self.pending = []
        self.end = end
        if rules.in_maintenance(self.key, start, end):
            return []
        usd = float(sums.usd)
        self._turn_hour(start // HOUR)
        out = self._judge(start, end, seconds, usd, sums, cells, rules)
        if end % HOUR == 0:
            out += self._creep(end, seconds, rules)
        self.seen += 1
        self.active += usd > 0
        self.zeros = 0 if sums.events else self.zeros + 1
        self.mean += max(1.0 / self.seen, min(1.0, seconds / DAY)) * (usd - self.mean)
        return out

    # ------------------------------------------------------------------ judging

    def _judge(
        self, start: int, end: int, seconds: int, usd: float, sums: Sums, cells: list[tuple[SeriesKey, Sums]],
        rules: WatchRules,
    ) -> list[Finding]:  # fmt: skip
        profile = self.profile
        to_window = seconds / HOUR
        upper = profile.upper * to_window if profile else 0.0
        little = LITTLE * self.mean
        sensitivity = rules.sensitivity_of(self.key) if rules.sensitivity else 1.0
        level = self.level.judge(usd, 1.0, upper, little, sensitivity)
        volume = sums.requests or float(sums.gpu_minutes)
        size = rate = CALM
        if volume > 0:
            self.size = self.size or Gauge()
            size = self.size.judge(usd, volume, 0.0, 0.0, sensitivity)
        if sums.input_tokens > 0:
            self.rate = self.rate or Gauge()
            rate = self.rate.judge(usd - float(sums.output_usd), sums.input_tokens, 0.0, 0.0, sensitivity)
        warm = self.is_warm(rules)
        expected = self._expected(to_window, usd, volume, sums)
        out: list[Finding] = []
        basis = self._unusual(level, size, rate, usd, seconds, rules) if warm else -1
        suspicious = warm and max(level.now, size.now, rate.now, level.score - 0.5) > SUSPECT
        self._suspect(suspicious or basis >= 0, start, seconds, usd, expected, cells)
        readings = (level, size, rate)
        out += self._high(basis, readings, start, end, seconds, usd, expected, cells, rules)
        out += self._new(start, end, seconds, usd, cells, rules)
        out += self._drop(start, end, seconds, usd, expected, cells, rules, warm)
        if sums.metered_usd or FindingKind.IDLE in self.cases:
            out += self._idle(start, end, seconds, sums, cells, rules)
        if sums.unallocated_usd or self.owned is not None:
            out += self._unallocated(start, end, seconds, sums, cells, rules, warm)
        if sums.unpriced_events or FindingKind.UNPRICED in self.cases:
            out += self._unpriced(start, end, seconds, sums, cells, rules)
        self.priced += sums.events - sums.unpriced_events
        learning = not self.cases.keys() & LEARNING_STOPS
        self._learn(learning, readings, upper, little, seconds, usd, expected[LEVEL], volume, sums, cells)
        return out

    def _expected(self, to_window: float, usd: float, volume: float, sums: Sums) -> Expected:
        """What each base expects of this window, in USD."""
        level = self.level.usual
        size = volume * self.size.usual if self.size else level
        rate = usd
        if self.rate and sums.input_tokens:
            rate = usd - (usd - float(sums.output_usd)) + sums.input_tokens * self.rate.usual
        return level, size, max(0.0, rate), 0.0

    def _as_of(self, case: Case, expected: Expected, seconds: int) -> Expected:
        """What was expected of this window when the case opened."""
        return (case.expects(self._mid(seconds)), *expected[1:])

    def _mid(self, seconds: int) -> float:
        """What the profile expects of a window, in USD; 0 without one."""
        return self.profile.mid * seconds / HOUR if self.profile is not None else 0.0

    def _unusual(self, level: Reading, size: Reading, rate: Reading, usd: float, seconds: int, rules: WatchRules) -> int:
        """The broadest base by which this window is unusually dear, or -1."""
        least = rules.min_excess_usd * MATTERS * seconds / HOUR  # USD per window
        for basis, reading, gauge in ((LEVEL, level, self.level), (SIZE, size, self.size), (RATE, rate, self.rate)):
            if reading.score > 1.0 and gauge is not None:
                spent = self.level.span_ratio(reading.span)
                if spent * (1.0 - 1.0 / reading.ratio) >= least:
                    return basis
        return -1

    def _suspect(
        self, suspicious: bool, start: int, seconds: int, usd: float, expected: Expected,
        cells: list[tuple[SeriesKey, Sums]],
    ) -> None:  # fmt: skip
        """Keep windows apart that may turn out unusual, so that a finding can begin where the unusual began."""
        if suspicious:
            self.quiet = 0
            if self.suspect is None and FindingKind.SPIKE not in self.cases:
                self.suspect = Stretch(start)
        else:
            self.quiet += 1
        if self.suspect is not None:
            if self.quiet >= PATIENCE:
                self.suspect = None
                return
            self.suspect.add(seconds, usd, expected)
            put(self.suspect.parts, cells)

    def _high(
        self, basis: int, readings: tuple[Reading, Reading, Reading], start: int, end: int, seconds: int, usd: float,
        expected: Expected, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules,
    ) -> list[Finding]:  # fmt: skip
        """Spikes: more than is usual."""
        case = self.cases.get(FindingKind.SPIKE)
        if case is not None:
            expected = self._as_of(case, expected, seconds)
            case.stretch.add(seconds, usd, expected)
            put(case.stretch.parts, cells)
            if 0 <= basis < case.basis:
                case.basis = basis
            return self._go_on(case, self._is_calm(case, expected), end, rules)
        if FindingKind.NEW_SERIES in self.cases:
            return []
        if basis >= 0 and self.suspect is not None:
            reading = readings[basis]
            stretch, self.suspect = self.suspect, None
            case = Case(
                FindingKind.SPIKE, stretch, end, end, basis, reading.score, log(reading.ratio), expected[LEVEL],
                self._mid(seconds),
            )  # fmt: skip
            for gauge in (self.level, self.size, self.rate):
                if gauge is not None:
                    gauge.forget(stretch.seconds // seconds)
            return [self._open(case, end, rules)]
        return []

    def _creep(self, end: int, seconds: int, rules: WatchRules) -> list[Finding]:
        """At the end of an hour: hours that are dearer than the same hours of the days before, each a little more."""
        profile = self.profile
        if seconds > HOUR or profile is None or profile.seen < KNOWN:
            return []
        spent, usual = self.hour_usd, profile.mid
        case = self.cases.get(FindingKind.CREEP)
        if case is not None:
            usual = case.expects(usual)
            case.stretch.add(HOUR, spent, (usual, usual, usual, 0.0))
            self.hour_usd = usual  # so that tomorrow is not measured by today
            return self._go_on(case, spent < usual * exp(0.5 * case.height), end, rules)
        if self.cases.keys() & LEARNING_STOPS:
            return []
        score = self.creep.hour(spent, profile.upper, LITTLE * self.mean * HOUR / seconds)
        if score <= 1.0 or spent - usual < rules.min_excess_usd * MATTERS or FindingKind.NEW_SERIES in self.cases:
            self.creep.learn()
            return []
        stretch = Stretch(end - HOUR)
        stretch.add(HOUR, spent, (usual, spent, spent, 0.0))
        stretch.parts = self.makeup.scaled(spent)
        self.hour_usd = usual
        height = log(max(spent, 1e-30) / max(usual, 1e-30))
        return [self._open(Case(FindingKind.CREEP, stretch, end, end, LEVEL, score, height, usual, usual), end, rules)]

    def _is_calm(self, case: Case, expected: Expected) -> bool:
        """Whether the newest windows are back near the usual."""
        gauge = (self.level, self.size, self.rate, self.level)[case.basis] or self.level
        usual = expected[LEVEL] if case.basis in {LEVEL, OWN} else gauge.usual
        little = LITTLE * self.mean if gauge is self.level else 0.0
        now = max(min(gauge.span_ratio(1), gauge.span_ratio(3)) + little, 1e-30)
        return log(now / max(usual + little, 1e-30)) < max(0.2, 0.5 * case.height)

    def _open(self, case: Case, end: int, rules: WatchRules) -> Finding:
        self.cases[case.kind] = case
        return self._record(case, end, rules)

    def _record(self, case: Case, end: int, rules: WatchRules, closed_at: int | None = None) -> Finding:
        return record(
            case, self.meter, self.key, self.width, self.pace.seconds, self.makeup.usual, end, rules, closed_at
        )

    def _go_on(self, case: Case, calm: bool, end: int, rules: WatchRules) -> list[Finding]:
        """An open case after one more window: told again, or closed."""
        seconds = self.pace.seconds
        if calm:
            case.calm += 1
        else:
            case.calm, case.last_seen = 0, end
        if case.calm >= (2 if case.kind is FindingKind.CREEP else max(2, min(5, HOUR // seconds))):
            del self.cases[case.kind]
            return [self._record(case, end, rules, end)]
        if end - case.stretch.start >= rules.adopt_seconds:
            del self.cases[case.kind]
            self._adopt()
            return [self._record(case, end, rules, end)]
        return [self._record(case, end, rules)] if not case.calm and case.worth_telling(end, rules) else []

    def _adopt(self) -> None:
        """The level of today is the normal one from now on."""
        for gauge in (self.level, self.size, self.rate):
            if gauge is not None:
                gauge.adopt()
        self.creep.reset()

    def _new(
        self, start: int, end: int, seconds: int, usd: float, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules
    ) -> list[Finding]:
        """A series that a grown deployment has never seen, once it has spent what matters."""
        case = self.cases.get(FindingKind.NEW_SERIES)
        if case is not None:
            case.stretch.add(seconds, usd, (0.0, 0.0, 0.0, 0.0))
            put(case.stretch.parts, cells)
            return self._go_on(case, usd <= 0, end, rules)
        if not self.novel:
            return []
        if end - self.born > rules.new_after_seconds:
            self.novel = False
            return []
        self.spent += usd
        if self.spent < rules.min_excess_usd or usd <= 0:
            return []
        self.novel = False
        stretch = Stretch(self.born)
        stretch.add(end - self.born, self.spent, (0.0, 0.0, 0.0, 0.0))
        put(stretch.parts, cells)
        return [self._open(Case(FindingKind.NEW_SERIES, stretch, end, end, OWN, 1.0, 0.0, 0.0, 0.0), end, rules)]

    def _drop(
        self, start: int, end: int, seconds: int, usd: float, expected: Expected,
        cells: list[tuple[SeriesKey, Sums]], rules: WatchRules, warm: bool,
    ) -> list[Finding]:  # fmt: skip
        """A steady series that has fallen silent: its meter may be broken."""
        case = self.cases.get(FindingKind.DROP)
        if case is not None:
            expected = self._as_of(case, expected, seconds)
            case.stretch.add(seconds, usd, expected)
            back = usd > 0.25 * expected[LEVEL]
            return self._go_on(case, back, end, rules)
        usual = expected[LEVEL]
        if usd > SILENT * usual:
            if self.silent:
                self.longest = max(self.longest, self.silent)
            self.silent = 0
            return []
        self.silent += 1
        self.longest *= 1.0 - seconds / RECORD_LIFE
        least = rules.min_excess_usd * MATTERS * seconds / HOUR
        if not warm or usual < least or self.level.age < DAY or FindingKind.SPIKE in self.cases:
            return []
        if self.silent != self._broken_after() or self.silent * seconds > TOO_LONG or not self._is_source():
            return []
        mid = self._mid(seconds)
        if mid and mid < 0.25 * usual:
            return []
        stretch = Stretch(end - self.silent * seconds)
        stretch.add(self.silent * seconds, 0.0, (usual * self.silent, 0.0, 0.0, 0.0))
        self.level.forget(self.silent)
        case = Case(FindingKind.DROP, stretch, end, end, LEVEL, 1.0, 0.0, usual, mid)
        return [self._open(case, end, rules)]

    def _may_drop(self) -> bool:
        """Whether going on being silent could yet become a finding."""
        return self.silent < self._broken_after() and self.silent * self.pace.seconds <= TOO_LONG

    def _broken_after(self) -> int:
        """Silent windows from which the meter may be broken."""
        return max(3, -(-OUTAGE // self.pace.seconds), int(3 + LONGER * self.longest))

    def _is_source(self) -> bool:
        """Whether silence here means a broken meter: tags and models change, keys and clusters don't."""
        sources = SOURCES[self.meter]
        if all(name in sources for name, _ in self.key):
            return True
        return not any(name in sources for key in self.makeup.usual for name, _ in key)

    def _idle(
        self, start: int, end: int, seconds: int, sums: Sums, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules
    ) -> list[Finding]:
        """GPUs paid for and unused."""
        self.used = self.used or Share()
        idle, metered, usd = float(sums.idle_usd), float(sums.metered_usd), float(sums.usd)
        unusual = self.used.watch(idle, metered, IDLE, seconds)
        return self._own(FindingKind.IDLE, unusual, self.used, idle, usd, start, end, seconds, cells, rules)

    def _unallocated(
        self, start: int, end: int, seconds: int, sums: Sums, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules,
        warm: bool,
    ) -> list[Finding]:  # fmt: skip
        """Dollars without an owner, more of them than usual."""
        if self.owned is None:
            self.owned = Share()
            self.owned.seen = self.seen
        loose, usd = float(sums.unallocated_usd), float(sums.usd)
        at_least = self.owned.usual + JUMP if warm else 2.0
        unusual = self.owned.watch(loose, usd, at_least, seconds)
        extra = loose - self.owned.usual * usd
        return self._own(FindingKind.UNALLOCATED, unusual, self.owned, extra, loose, start, end, seconds, cells, rules)

    def _own(
        self, kind: FindingKind, unusual: bool, share: Share, excess: float, observed: float, start: int, end: int,
        seconds: int, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules,
    ) -> list[Finding]:  # fmt: skip
        """A finding that brings its own expectation."""
        case = self.cases.get(kind)
        if case is not None:
            case.stretch.add(seconds, observed, (0.0, 0.0, 0.0, observed - excess))
            put(case.stretch.parts, cells)
            return self._go_on(case, share.run == 0, end, rules)
        if not unusual or excess < rules.min_excess_usd * MATTERS * seconds / HOUR:
            return []
        stretch = Stretch(start)
        stretch.add(seconds, observed, (0.0, 0.0, 0.0, observed - excess))
        put(stretch.parts, cells)
        return [self._open(Case(kind, stretch, end, end, OWN, 1.0, 0.0, 0.0, 0.0), end, rules)]

    def _unpriced(
        self, start: int, end: int, seconds: int, sums: Sums, cells: list[tuple[SeriesKey, Sums]], rules: WatchRules
    ) -> list[Finding]:
        """Usage that no price is known for: dollars at risk of not being counted."""
        case = self.cases.get(FindingKind.UNPRICED)
        risk = float(sums.at_risk_usd)
        if case is not None:
            case.stretch.add(seconds, risk, (0.0, 0.0, 0.0, 0.0))
            return self._go_on(case, sums.unpriced_events == 0 and sums.events > 0, end, rules)
        if len(self.key) != 1 or self.key[0][0] not in {"model", "service", "cluster"}:
            return []
        stretch = Stretch(start)
        stretch.add(seconds, risk, (0.0, 0.0, 0.0, 0.0))
        return [self._open(Case(FindingKind.UNPRICED, stretch, end, end, OWN, 1.0, 0.0, 0.0, 0.0), end, rules)]

    # ------------------------------------------------------------------ learning

    def _learn(
        self, usual: bool, readings: tuple[Reading, Reading, Reading], upper: float, little: float, seconds: int,
        usd: float, expected: float, volume: float, sums: Sums, cells: list[tuple[SeriesKey, Sums]],
    ) -> None:  # fmt: skip
        life = max(float(HOUR), 12.0 * seconds)
        self.level.learn(upper, little, seconds, life, usual=usual)
        if self.size is not None and volume > 0:
            self.size.learn(0.0, 0.0, seconds, life, usual=usual)
        if self.rate is not None and sums.input_tokens > 0:
            self.rate.learn(0.0, 0.0, seconds, life, usual=usual)
        if usual and self.suspect is None:
            self.makeup.learn(cells, seconds)
        self.hour_usd += usd if usual else expected

    def _turn_hour(self, hour: int) -> None:
        if hour == self.hour or self.pace.seconds > HOUR:
            return
        if self.hour >= 0:
            self.profile = self.profile or WeekProfile()
            self.profile.put(self.hour, self.hour_usd)
            self.profile.look(hour)
        self.hour, self.hour_usd = hour, 0.0

    def _catch_up(self, start: int, seconds: int) -> None:
        """Silent windows that were slept through."""
        missed = (start - self.end) // seconds
        if missed <= 0 or not self.seen:
            return
        self.level.rest(missed, seconds, max(float(HOUR), 12.0 * seconds))
        self.seen += missed
        self.zeros += missed
        self.mean *= (1.0 - min(1.0, seconds / DAY)) ** missed

    # ------------------------------------------------------------------ snapshot

    def to_json(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON: restored, the series continues bit for bit."""
        return {
            "key": [list(pair) for pair in self.key],
            "numbers": [
                self.born, self.end, self.novel, self.spent, self.priced, self.seen, self.active, self.zeros,
                self.mean, self.quiet, self.hour, self.hour_usd, self.silent, self.longest,
            ],
            "pace": self.pace.to_json(),
            "pending": [_window_to_json(window) for window in self.pending],
            "cases": [case.to_json() for case in self.cases.values()],
            "level": self.level.to_json(),
            "makeup": self.makeup.to_json(),
            "creep": self.creep.to_json(),
            **{name: part.to_json() for name in _PARTS if (part := getattr(self, name)) is not None},
        }  # fmt: skip

    @classmethod
    def from_json(cls, meter: Meter, width: int, state: dict[str, Any]) -> Series:
        """The reverse of `to_json`."""
        key = tuple((name, value) for name, value in state["key"])
        series = cls(meter, key, width, 0, False, 0)
        (
            series.born, series.end, series.novel, series.spent, series.priced, series.seen, series.active,
            series.zeros, series.mean, series.quiet, series.hour, series.hour_usd, series.silent, series.longest,
        ) = state["numbers"]  # fmt: skip
        series.pace = Pace.from_json(state["pace"])
        series.pending = [_window_from_json(meter, key, width, window) for window in state["pending"]]
        series.cases = {case.kind: case for case in map(Case.from_json, state["cases"])}
        series.level = Gauge.from_json(state["level"])
        series.makeup = Makeup.from_json(state["makeup"])
        series.creep = Creep.from_json(state["creep"])
        for name, kind in _PARTS.items():
            if name in state:
                setattr(series, name, kind.from_json(state[name]))
        return series


_PARTS: dict[str, Any] = {
    "profile": WeekProfile, "size": Gauge, "rate": Gauge, "used": Share, "owned": Share, "suspect": Stretch,
}  # fmt: skip


def _window_to_json(window: Window) -> list[Any]:
    cells = [[[list(pair) for pair in key], sums.to_wire()] for key, sums in window.cells]
    return [window.start, window.sums.to_wire(), cells]


def _window_from_json(meter: Meter, key: SeriesKey, width: int, state: list[Any]) -> Window:
    cells = [(tuple((n, v) for n, v in cell), Sums.from_wire(sums)) for cell, sums in state[2]]
    return Window(meter, key, state[0], width, Sums.from_wire(state[1]), cells)


def _merged(pending: list[Window]) -> tuple[Sums, list[tuple[SeriesKey, Sums]]]:
    if not pending:
        return NOTHING, []
    if len(pending) == 1:
        return pending[0].sums, pending[0].cells
    whole = Sums()
    cells: dict[SeriesKey, Sums] = {}
    for window in pending:
        whole.add(window.sums)
        for key, sums in window.cells:
            cells.setdefault(key, Sums()).add(sums)
    return whole, list(cells.items())


NOTHING = Sums()
