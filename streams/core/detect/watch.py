"""Watches the series of one partition: windows in, findings out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.records import Meter
from schemas.watch import Finding
from streams.core.detect.merge import Complete
from streams.core.detect.rules import WatchRules
from streams.core.detect.series import Series
from streams.core.sums import SeriesKey

VERSION = 1  # of the snapshot
__all__ = ["Watch", "WatchRules"]


@dataclass(slots=True)
class _Lane:
    """The series of one meter and base width."""

    started: int
    series: dict[SeriesKey, Series] = field(default_factory=dict)
    awake: dict[int, dict[SeriesKey, Series]] = field(default_factory=dict)  # by pace


class Watch:
    """One partition's series. Pure: the same windows give the same findings."""

    def __init__(self, rules: WatchRules) -> None:
        self._rules = rules
        self._lanes: dict[tuple[Meter, int], _Lane] = {}

    def window(self, complete: Complete) -> list[Finding]:
        """Take in all series of one window; returns the new states of findings, in an order that a re-run repeats."""
        lane = self._lanes.get((complete.meter, complete.seconds))
        if lane is None:
            lane = self._lanes[complete.meter, complete.seconds] = _Lane(complete.start)
        for key, window in complete.windows.items():
            series = lane.series.get(key)
            if series is None:
                series = self._born(lane, complete, key)
                if series is None:
                    continue
            before = series.pace.seconds
            series.add(window)
            if series.pace.seconds != before:
                lane.awake.get(before, {}).pop(key, None)
            lane.awake.setdefault(series.pace.seconds, {})[key] = series
        out: list[Finding] = []
        for pace, awake in lane.awake.items():
            if complete.end % pace:
                continue
            for key, series in list(awake.items()):
                out += series.close(complete.end, self._rules)
                if series.asleep:
                    del awake[key]
        return sorted(out, key=lambda f: (sorted(f.series.items()), f.kind, f.opened_at))

    def _born(self, lane: _Lane, complete: Complete, key: SeriesKey) -> Series | None:
        rules = self._rules
        if len(lane.series) >= rules.max_series:
            return None
        novel = len(key) == 1 and complete.start - lane.started >= rules.new_after_seconds
        series = Series(complete.meter, key, complete.seconds, complete.start, novel, rules.cadence_of(key))
        lane.series[key] = series
        return series

    def open_findings(self) -> dict[str, int]:
        """How many are open, by kind."""
        kinds: Counter[str] = Counter()
        for lane in self._lanes.values():
            for series in lane.series.values():
                kinds.update(kind.value for kind in series.cases)
        return dict(kinds)

    def series(self) -> dict[str, int]:
        """How many series are watched: `warming` know too little yet, `live` are judged."""
        live = warming = 0
        for lane in self._lanes.values():
            for series in lane.series.values():
                warm = series.is_warm(self._rules)
                live, warming = live + warm, warming + (not warm)
        return {"live": live, "warming": warming}

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON."""
        return {
            "version": VERSION,
            "lanes": [
                {
                    "meter": meter,
                    "seconds": seconds,
                    "started": lane.started,
                    "series": [series.to_json() for series in lane.series.values()],
                    "awake": [
                        [pace, [[list(pair) for pair in key] for key in awake]] for pace, awake in lane.awake.items()
                    ],
                }
                for (meter, seconds), lane in self._lanes.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot. Raises ValueError on a version that this code does not know."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"watch state of version {state.get('version')!r} can't be read; this code reads version {VERSION}"
            )
        self._lanes = {}
        for wire in state["lanes"]:
            meter, seconds = wire["meter"], wire["seconds"]
            lane = self._lanes[meter, seconds] = _Lane(wire["started"])
            for one in wire["series"]:
                series = Series.from_json(meter, seconds, one)
                lane.series[series.key] = series
            for pace, keys in wire["awake"]:
                named = [tuple((name, value) for name, value in key) for key in keys]
                lane.awake[pace] = {key: lane.series[key] for key in named}
