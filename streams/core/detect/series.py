"""One series under watch: what it has learnt, and the findings that are open."""

from __future__ import annotations

from math import sqrt
from typing import Any

from schemas.records import Meter
from schemas.watch import Finding, FindingKind
from streams.core.detect.bucket import Bucket, merged
from streams.core.detect.cadence import Pace
from streams.core.detect.creep import Creep
from streams.core.detect.days import Days
from streams.core.detect.gauge import LONGEST, Gauge
from streams.core.detect.gauges import Gauges
from streams.core.detect.hours import Hours
from streams.core.detect.lifecycle import Case, record
from streams.core.detect.orders import OrderGauge
from streams.core.detect.parts import PAYERS, Makeup, is_judged
from streams.core.detect.ratios import RatioGauge
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.detect.shares import Share
from streams.core.detect.silence import Silence
from streams.core.detect.suspicion import Suspicion
from streams.core.windows.sums import SeriesKey, Sums, Window

LEARNING_STOPS = {FindingKind.SPIKE, FindingKind.DROP}
LASTED = {"token_call": 6 * HOUR, "gpu_usage": HOUR, "line_item": 24 * HOUR}
"""What went on for so long is how this series is at times, and the same again is not told: GPU jobs last for hours."""
LEVELS: dict[Meter, type[Gauge]] = {"token_call": RatioGauge, "gpu_usage": OrderGauge, "line_item": RatioGauge}
"""How spend is judged: GPUs are taken and given back in orders."""
CALM_WINDOWS = (2, 5)  # in a row that close a finding: of hours and longer, of shorter ones


class Series:
    """State of one series in one lane (meter and width of the windows that come in)."""

    __slots__ = (
        "active", "active_at", "born", "cases", "creep", "days", "due", "end", "flood", "gauges", "hours", "key",
        "makeup", "meter", "novel", "owned", "pace", "pending", "seen", "silence", "spent", "suspicion", "used",
        "width",
    )  # fmt: skip

    def __init__(self, meter: Meter, key: SeriesKey, width: int, start: int, pace: int = 0) -> None:
        self.meter: Meter = meter
        self.key = key
        self.width = width  # seconds
        self.born = start
        self.end = start  # of the newest window judged
        self.active_at = start  # when it last had an event
        self.novel = False  # new to a deployment that would know, and not told yet
        self.flood = False  # stands for many series that there was no room for
        self.due = 0  # the end of the window until which it dozes, in epoch seconds; 0: it is awake, or asleep
        self.spent = 0.0  # since birth, while novel, in USD
        self.pace = Pace(width, pace)
        self.pending: list[Window] = []
        self.cases: dict[FindingKind, Case] = {}
        self.hours = Hours()
        self.used: Share | None = None  # of GPUs
        self.owned: Share | None = None
        self._start_over()

    def _start_over(self) -> None:
        """Forget what was learnt at another pace."""
        self.seen = 0  # windows judged
        self.active = 0  # of them with an event
        self.gauges = Gauges(LEVELS[self.meter])
        self.makeup = Makeup(PAYERS[self.meter])
        self.suspicion = Suspicion()
        self.creep = Creep()
        self.days: Days | None = None  # of what is watched by the day
        self.silence = Silence()

    def is_warm(self, rules: WatchRules) -> bool:
        """Whether there is enough history to call anything normal."""
        return is_judged(self.seen, self.active, rules.warmup_windows)

    @property
    def at_peace(self) -> bool:
        """Whether nothing is under way that a silent window could be told for."""
        return not self.cases and self.suspicion.stretch is None and not self.novel and self.days is None

    @property
    def asleep(self) -> bool:
        """Whether silence has nothing more to say."""
        return (
            self.silence.run > LONGEST + 2
            and not self.cases
            and self.suspicion.stretch is None
            and not self.silence.may_break(self.pace.seconds)
        )

    def add(self, window: Window) -> None:
        """Take in a base window, to be judged when its pace's bucket ends."""
        self.pending.append(window)
        self.active_at = window.end
        if self.pace.learn(window.sums.events, window.aligned):
            self._start_over()

    def take(self, empty: Bucket) -> Bucket:
        """The bucket is complete: what came for it, to be judged, or `empty` itself where nothing came."""
        if empty.start > self.end:
            self._catch_up(empty.start, empty.seconds)
        self.end = empty.end
        if not self.pending:
            return empty
        sums, cells = merged(self.pending)
        self.pending = []
        return Bucket(empty.start, empty.end, sums, cells, empty.rules)

    def turn(self, bucket: Bucket) -> None:
        """The hour or the day of the bucket begins, if it has not begun: what is usual of it is known by its name."""
        if bucket.seconds <= HOUR:
            self.hours.turn(bucket.start // HOUR)
        elif bucket.seconds == DAY:
            self.days = self.days or Days()
            self.days.look(bucket.start // DAY, bucket.usd)
            self.gauges.weight = self.days.weight

    def mid(self, seconds: float) -> float:
        """What is expected of so many seconds at this hour, or of this day, in USD; 0 while too little was seen."""
        return self.days.mid if self.days is not None else self.hours.mid(seconds)

    def learn(self, bucket: Bucket, expected: float) -> None:
        """Take in a bucket that was judged, of which `expected` USD were expected."""
        self.seen += 1
        self.active += bucket.sums.events > 0
        usual = not (self.cases and self.cases.keys() & LEARNING_STOPS)
        suspect = self.suspicion.stretch is not None
        if self.days is not None:
            self.days.put(
                bucket.start // DAY, bucket.usd if usual or self._is_new() else sqrt(max(0.0, bucket.usd * expected))
            )
        self.gauges.learn(bucket, usual=usual, suspect=suspect)
        if not usual:
            size = self.gauges.size.usual if self.gauges.size is not None else 0.0
            self.hours.add_unusual(bucket.usd, expected, size, bucket.seconds)
            return
        self.hours.add(bucket.usd, bucket.volume)
        if not suspect:
            self.makeup.learn(bucket.cells, bucket.seconds)

    def _is_new(self) -> bool:
        """Whether what goes on began with this window: a charge of one day may be one that comes every month, and is
        learnt as it is; what goes on for days is learnt at half its height, as unusual hours are."""
        return all(case.stretch.seconds <= self.pace.seconds for case in self.cases.values())

    def idle(self, windows: int) -> None:
        """Learn so many silent windows of the hour under way, of which nothing can be told."""
        seconds = self.pace.seconds
        self.end += windows * seconds
        self.seen += windows
        self.suspicion.quiet += windows
        self.silence.rest(windows, seconds, self.gauges.recent(self.mid(seconds)))
        while windows:
            if not self.makeup.is_one:
                self.gauges.size = self.gauges.rate = self.gauges.output = None
            learnt = self.makeup.rest(windows, seconds)
            self.gauges.idle(learnt, seconds)
            windows -= learnt

    def _catch_up(self, start: int, seconds: int) -> None:
        """Silent windows that were slept through."""
        missed = (start - self.end) // seconds
        if missed <= 0 or not self.seen:
            return
        self.gauges.rest(missed, seconds)
        self.seen += missed
        self.silence.run += missed

    # ------------------------------------------------------------------ findings

    def open(self, case: Case, bucket: Bucket) -> list[Finding]:
        """A finding begins."""
        self.cases[case.kind] = case
        return self._record(case, bucket)

    def go_on(self, case: Case, bucket: Bucket, *, calm: bool) -> list[Finding]:
        """An open finding after one more window: told again when that is worth it, or closed."""
        if calm:
            case.calm += 1
        else:
            case.calm, case.last_seen = 0, bucket.end
        hourly = bucket.seconds >= HOUR or case.kind is FindingKind.CREEP
        if case.settled or case.calm >= CALM_WINDOWS[not hourly]:
            return self._close(case, bucket)
        if bucket.end - case.stretch.start >= max(bucket.rules.adopt_seconds, LONGEST * bucket.seconds):
            self.gauges.adopt()
            self.creep.reset()
            return self._close(case, bucket)
        if case.calm or not (case.hidden or case.worth_telling(bucket.end, bucket.rules)):
            return []
        return self._record(case, bucket)

    def leave(self, case: Case, bucket: Bucket) -> list[Finding]:
        """What goes on from this bucket on is another's."""
        del self.cases[case.kind]
        return self._record(case, bucket, bucket.start)

    def feedback(self, kind: FindingKind, *, expected: bool) -> None:
        """A person has judged the open finding of this kind; it closes with the next window."""
        case = self.cases.get(kind)
        if case is None:
            return
        case.settled = True
        if expected:
            self.gauges.adopt()
            self.creep.reset()
        else:
            self.gauges.met(case.height)
            self.creep.excuse()
            self.creep.met(case.height)

    def _close(self, case: Case, bucket: Bucket) -> list[Finding]:
        del self.cases[case.kind]
        if case.kind in LEARNING_STOPS:
            for gauge in self.gauges.each():
                gauge.cut(max(1, case.calm))
            by_itself = case.kind is FindingKind.SPIKE and not case.settled
            self.gauges.passed(by_itself=by_itself)
        if case.kind is FindingKind.CREEP:
            self.creep.met(case.height)
        elif case.kind is FindingKind.SPIKE and case.last_seen - case.stretch.start >= LASTED[self.meter]:
            self.gauges.met(case.height)
        return self._record(case, bucket, bucket.end)

    def _record(self, case: Case, bucket: Bucket, closed_at: int | None = None) -> list[Finding]:
        case.look(self, bucket.rules)
        if case.hidden:
            return []
        return [record(case, self, bucket.end, bucket.rules, closed_at)]

    # ------------------------------------------------------------------ snapshot

    def to_json(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON: restored, the series continues bit for bit."""
        return {
            "key": [list(pair) for pair in self.key],
            "numbers": [
                self.born, self.end, self.active_at, self.novel, self.flood, self.spent, self.seen, self.active,
            ],
            "pending": [_window_to_json(window) for window in self.pending],
            "cases": [case.to_json() for case in self.cases.values()],
            "gauges": self.gauges.to_json(),
            **{name: part.to_json() for name in _PARTS if (part := getattr(self, name)) is not None},
        }  # fmt: skip

    @classmethod
    def from_json(cls, meter: Meter, width: int, state: dict[str, Any]) -> Series:
        """The reverse of `to_json`."""
        key = tuple((name, value) for name, value in state["key"])
        series = cls(meter, key, width, 0)
        (
            series.born, series.end, series.active_at, series.novel, series.flood, series.spent, series.seen,
            series.active,
        ) = state["numbers"]  # fmt: skip
        series.pending = [_window_from_json(meter, key, width, window) for window in state["pending"]]
        series.cases = {case.kind: case for case in map(Case.from_json, state["cases"])}
        for name, kind in _PARTS.items():
            if name in state:
                setattr(series, name, kind.from_json(state[name]))
        series.gauges = Gauges.from_json(state["gauges"], LEVELS[meter])
        return series


_PARTS: dict[str, Any] = {
    "pace": Pace, "hours": Hours, "days": Days, "makeup": Makeup,
    "suspicion": Suspicion, "creep": Creep, "silence": Silence, "used": Share, "owned": Share,
}  # fmt: skip


def _window_to_json(window: Window) -> list[Any]:
    cells = [[[list(pair) for pair in key], sums.to_wire()] for key, sums in window.cells]
    return [window.start, window.sums.to_wire(), cells]


def _window_from_json(meter: Meter, key: SeriesKey, width: int, state: list[Any]) -> Window:
    cells = [(tuple((n, v) for n, v in cell), Sums.from_wire(sums)) for cell, sums in state[2]]
    return Window(meter, key, state[0], width, Sums.from_wire(state[1]), cells)
