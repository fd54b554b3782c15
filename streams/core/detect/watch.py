"""Watches the series of one partition: windows in, findings out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from schemas.records import Meter
from schemas.watch import Finding, FindingKind
from streams.core.detect import judge, lull
from streams.core.detect.bucket import Bucket
from streams.core.detect.budgets import BudgetWatch
from streams.core.detect.lifecycle import finding_id
from streams.core.detect.merge import Complete
from streams.core.detect.parts import ACTIVE
from streams.core.detect.resume import bridge, settle
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.detect.series import Series
from streams.core.windows.state import FLOOD
from streams.core.windows.sums import SeriesKey, Sums, Window, count_in

__all__ = ["Watch", "WatchRules"]
MONTH = 40 * DAY
VERSION = 2  # of the snapshot
READS = (1, 2)  # versions
Says = Literal["false_positive", "expected"]


@dataclass(slots=True)
class _Lane:
    """The series of one meter and base width."""

    started: int
    series: dict[SeriesKey, Series] = field(default_factory=dict)
    awake: dict[int, dict[SeriesKey, Series]] = field(default_factory=lambda: defaultdict(dict))  # by pace
    dozing: dict[int, dict[SeriesKey, Series]] = field(default_factory=dict)  # by when they are due
    end: int = 0  # of the newest window, epoch seconds

    def awake_to_json(self) -> list[Any]:
        """The keys of those that are to be judged, by pace, the dozing ones too: restored, they doze off anew."""
        keys: dict[int, list[list[list[str]]]] = {}
        for key, series in self.series.items():
            pace = series.pace.seconds
            if series.due or key in self.awake.get(pace, ()):
                keys.setdefault(pace, []).append([list(pair) for pair in key])
        return [[pace, awake] for pace, awake in keys.items()]


class Watch:
    """One partition's series. Pure: the same windows give the same findings."""

    def __init__(self, rules: WatchRules) -> None:
        self._rules = rules
        self._lanes: dict[tuple[Meter, int], _Lane] = {}
        self._count = 0  # series of all lanes
        self._budgets = [BudgetWatch(budget) for budget in rules.budgets]

    def window(self, complete: Complete) -> list[Finding]:
        """Take in all series of one window; returns the new states of findings, in an order that a re-run repeats."""
        lane = self._lanes.get((complete.meter, complete.seconds))
        if lane is None:
            lane = self._lanes[complete.meter, complete.seconds] = _Lane(complete.start)
        if complete.start != lane.end:
            self._wake_all(lane)  # there is a hole: what was left out was not silent
        for key, window in self._bounded(lane, complete).items():
            series = lane.series.get(key) or self._born(lane, complete, key)
            if series.due:
                del lane.dozing[series.due][key]
                self._wake(lane, series)
            before = series.pace.seconds
            series.add(window)
            if series.pace.seconds != before:
                lane.awake[before].pop(key, None)
            lane.awake[series.pace.seconds][key] = series
        out = self._close(lane, complete.end)
        lane.end = complete.end
        for budget in self._budgets:
            spent = complete.windows.get(budget.budget.series)
            if spent is not None:
                out += budget.window(spent)
        if complete.end % HOUR == 0:
            self._expire(lane, complete.end)
        return sorted(out, key=lambda finding: (sorted(finding.series.items()), finding.kind, finding.opened_at))

    def feedback(self, meter: Meter, series: SeriesKey, kind: FindingKind, says: Says, finding: str = "") -> None:
        """What a person says of an open finding. `expected`: this level is the usual one from now on. `false_positive`:
        the same again shall not be told. Unknown series and closed findings are no error: feedback comes late. With its
        id in `finding` it is not taken for a later one of the same kind."""
        for (of, width), lane in self._lanes.items():
            found = lane.series.get(series) if of == meter else None
            case = found.cases.get(kind) if found is not None else None
            if found is None or case is None:
                continue
            if not finding or finding == finding_id(kind, meter, series, width, case.stretch.start):
                found.feedback(kind, expected=says == "expected")

    def settle(self) -> None:
        """A history is over that nobody was told of: what it taught stays, what it found does not."""
        for lane in self._lanes.values():
            self._wake_all(lane)
            for series in lane.series.values():
                settle(series)
            lane.awake.clear()
        for budget in self._budgets:
            budget.settle()

    def resume(self, meter: Meter, seconds: int, start: int) -> None:
        """After `settle`: the first window of this pace that is live starts now (epoch seconds)."""
        lane = self._lanes.get((meter, seconds))
        for series in lane.series.values() if lane is not None else ():
            bridge(series, start)

    def open_findings(self) -> dict[str, int]:
        """How many are open, by kind."""
        kinds: Counter[str] = Counter()
        for lane in self._lanes.values():
            for series in lane.series.values():
                kinds.update(kind.value for kind, case in series.cases.items() if not case.hidden)
        burning = sum(budget.is_open for budget in self._budgets)
        if burning:
            kinds[FindingKind.BUDGET_BURN.value] = burning
        return dict(kinds)

    def series(self) -> dict[str, int]:
        """How many series are watched: `warming` know too little yet, `live` are judged."""
        live = sum(series.is_warm(self._rules) for lane in self._lanes.values() for series in lane.series.values())
        return {"live": live, "warming": self._count - live}

    def _close(self, lane: _Lane, end: int) -> list[Finding]:
        """Judge the series whose bucket ends now."""
        out: list[Finding] = []
        for due in [due for due in lane.dozing if due <= end]:
            for series in lane.dozing.pop(due).values():
                self._wake(lane, series)
        for pace, awake in lane.awake.items():
            if end % pace:
                continue
            empty = Bucket(end - pace, end, Sums(), [], self._rules)
            for key, series in list(awake.items()):
                out += judge.close(series, empty)
                if series.asleep:
                    del awake[key]
                    continue
                series.due = lull.due(series, self._rules)
                if series.due:
                    del awake[key]
                    lane.dozing.setdefault(series.due, {})[key] = series
        return out

    def _wake(self, lane: _Lane, series: Series) -> None:
        """It was taken from those that doze: learn what it slept through, and judge it from now on."""
        lull.catch_up(series, lane.end)
        series.due = 0
        lane.awake[series.pace.seconds][series.key] = series

    def _wake_all(self, lane: _Lane) -> None:
        for dozing in lane.dozing.values():
            for series in dozing.values():
                self._wake(lane, series)
        lane.dozing.clear()

    def _bounded(self, lane: _Lane, complete: Complete) -> dict[SeriesKey, Window]:
        """The windows, with those of new series beyond `max_series` summed up as one per kind of series."""
        room = self._rules.max_series - self._count
        if len(complete.windows) <= room:  # whatever is new in it
            return complete.windows
        fresh = [key for key in complete.windows if key not in lane.series]
        if len(fresh) <= room:
            return complete.windows
        refused = set(fresh[max(0, room) :])
        out = {key: window for key, window in complete.windows.items() if key not in refused}
        for key in fresh[max(0, room) :]:
            window = complete.windows[key]
            together = tuple((name, FLOOD) for name, _ in key)
            into = out.get(together)
            if into is None:
                into = out[together] = replace(window, series=together, sums=Sums(), cells=[], aligned={})
            into.sums.add(window.sums)
            count_in(into.aligned, window.aligned)
        return out

    def _born(self, lane: _Lane, complete: Complete, key: SeriesKey) -> Series:
        rules = self._rules
        series = Series(complete.meter, key, complete.seconds, complete.start, rules.cadence_of(key))
        series.novel = len(key) == 1 and complete.start - lane.started >= rules.new_after_seconds
        series.flood = bool(key) and all(value == FLOOD for _, value in key)
        lane.series[key] = series
        self._count += 1
        return series

    def _expire(self, lane: _Lane, now: int) -> None:
        """Forget series that have been silent for long; sooner those that were hardly ever there."""
        rules = self._rules
        for key, series in list(lane.series.items()):
            patience = rules.expire_seconds if series.active >= ACTIVE else min(rules.expire_seconds, DAY)
            if series.pace.seconds >= DAY:
                patience = max(rules.expire_seconds, MONTH)  # what is charged once a month is not new each time
            if now - series.active_at > patience and not series.cases:
                del lane.series[key]
                if series.due:
                    del lane.dozing[series.due][key]
                lane.awake[series.pace.seconds].pop(key, None)
                self._count -= 1

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        for lane in self._lanes.values():
            for dozing in lane.dozing.values():
                for series in dozing.values():
                    lull.catch_up(series, lane.end)
        return {
            "version": VERSION,
            "budgets": [budget.to_json() for budget in self._budgets],
            "lanes": [
                {
                    "meter": meter,
                    "seconds": seconds,
                    "started": lane.started,
                    "series": [series.to_json() for series in lane.series.values()],
                    "awake": lane.awake_to_json(),
                }
                for (meter, seconds), lane in self._lanes.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know.

        A changed list of budgets starts them anew: their months are summed from here on.
        """
        if state.get("version") not in READS:
            raise ValueError(f"watch state of version {state.get('version')!r} can't be read; this code reads {READS}")
        if len(state["budgets"]) == len(self._budgets):
            for budget, saved in zip(self._budgets, state["budgets"], strict=True):
                budget.load(saved)
        self._lanes, self._count = {}, 0
        for wire in state["lanes"]:
            meter, seconds = wire["meter"], wire["seconds"]
            lane = self._lanes[meter, seconds] = _Lane(wire["started"])
            for one in wire["series"]:
                series = Series.from_json(meter, seconds, one)
                lane.series[series.key] = series
            self._count += len(lane.series)
            for pace, keys in wire["awake"]:
                named = [tuple((name, value) for name, value in key) for key in keys]
                lane.awake[pace] = {key: lane.series[key] for key in named}
