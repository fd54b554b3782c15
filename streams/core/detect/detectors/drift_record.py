"""The product's detector for metrics with a daily rhythm: drifts and records of what the time of day does not explain.

Measured on the Numenta Anomaly Benchmark; `python -m replay.nab` repeats it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from streams.core.detect.detectors.base import Detector, Snapshot, State, Verdict, scorable, unscored
from streams.core.detect.detectors.daily import DailyProfile
from streams.core.detect.detectors.moments import WarmEW
from streams.core.detect.detectors.parameters import PARAMETERS, Parameters, fingerprint
from streams.core.detect.detectors.restraint import Restraint
from streams.core.detect.detectors.signals import Drift, Record

TINY = 1e-9  # in the series' unit; keeps a flat first stretch from dividing by zero


class DriftRecord(Detector):
    """Compares recent means of five residuals with their long run, and looks for records in three."""

    name: ClassVar[str] = "drift-record"
    version: ClassVar[int] = 1

    __slots__ = (
        "before",
        "drifts",
        "early",
        "first",
        "level",
        "p",
        "profile",
        "records",
        "restraint",
        "spread",
        "squashed_profile",
        "unit",
    )

    def __init__(self, parameters: Parameters = PARAMETERS) -> None:
        p = self.p = parameters
        self.profile = DailyProfile(p.hour_rate, p.anytime_rate)
        self.squashed_profile = DailyProfile(p.hour_rate, p.anytime_rate)
        self.level = WarmEW(p.level_rate)
        self.spread = WarmEW(p.band_rate)
        self.drifts = tuple(
            Drift(window, p.long_run_rate, p.long_run_needed, two_sided=two_sided)
            for window, two_sided in (
                (p.window, False),  # |squashed residual|
                (p.burst_window, False),  # residual squared
                (p.window, True),  # against the level
                (p.window, False),  # |residual|
                (p.window, False),  # |step|
            )
        )
        self.records = tuple(Record(p.relax) for _ in range(3))
        self.restraint = Restraint(p.restraint, len(self.drifts) + len(self.records))
        self.early: array[float] | None = array("d")  # time, value, time, value, ... of the warm-up
        self.first = 0.0  # the first value, zero of the squashed view
        self.before = 0.0  # the value before
        self.unit = 1.0  # mean |step| of the warm-up, unit of the squashed view

    def update(self, at: float, value: float | None) -> Verdict:
        if not scorable(value, at):
            return unscored(self.before)
        v = float(value)
        expected = self.profile.update(at, v)
        off = v - expected
        self.spread.update(off)
        above = v - self.level.mean
        self.level.update(v)
        if self.early is not None:
            self._warm_up(at, v, off, above)
            return Verdict(0.0, False, expected, State.WARMING)
        step = abs(v - self.before)
        self.before = v
        score, alert = self.restraint.judge(self._surprises(at, v, off, above, step))
        state = State.ANOMALOUS if score > 1.0 else State.NORMAL
        return Verdict(score, alert, expected, state)

    def band(self, at: float) -> tuple[float, float]:
        expected = self.profile.expect(at, self.before) if scorable(0.0, at) else self.before
        half = self.p.band_width * math.sqrt(self.spread.var + self.spread.mean * self.spread.mean)
        return expected - half, expected + half

    def _surprises(self, at: float, v: float, off: float, above: float, step: float) -> tuple[float, ...]:
        p = self.p
        squashed, burst, level, residual, change = self.drifts
        level_record, residual_record, value_record = self.records
        x = self._squash(v)
        odd = x - self.squashed_profile.update(at, x)
        return (
            squashed.update(abs(odd)) / p.squashed_scale,
            burst.update(off * off) / p.burst_scale,
            level.update(above) / p.level_scale,
            residual.update(abs(off)) / p.residual_scale,
            change.update(step) / p.change_scale,
            level_record.update(above) / p.level_record_scale,
            residual_record.update(off) / p.residual_record_scale,
            value_record.update(v) / p.value_record_scale,
        )

    def _squash(self, v: float) -> float:
        return math.asinh((v - self.first) / self.unit)

    def _warm_up(self, at: float, v: float, off: float, above: float) -> None:
        early = self.early
        if early is None:
            return
        if not early:
            self.first = self.before = v
        _, burst, level, residual, change = self.drifts
        # The first `above` is the value itself, which makes the range at least as wide as the level is high: on a
        # series that hardly moves, a record is news only in proportion to the level.
        for record, x in zip(self.records, (above, off, v), strict=True):
            record.update(x)
        burst.feed(off * off)
        level.feed(above)
        residual.feed(abs(off))
        change.feed(abs(v - self.before))
        self.before = v
        self.restraint.skip()
        early.extend((at, v))
        if len(early) >= 2 * self.p.warm_up:
            self._settle(early)

    def _settle(self, early: array[float]) -> None:
        """End of the warm-up: with the unit known at last, replay it through the squashed view."""
        values = early[1::2]
        steps = sum(abs(b - a) for a, b in pairwise(values))
        self.unit = steps / self.p.warm_up + TINY
        for at, v in zip(early[::2], values, strict=True):
            x = self._squash(v)
            self.drifts[0].feed(abs(x - self.squashed_profile.update(at, x)))
        self.early = None

    def config(self) -> str:
        """All constants shape the state."""
        return fingerprint(self.p)

    def state_dict(self) -> Snapshot:
        return {
            "profile": self.profile.dump(),
            "squashed_profile": self.squashed_profile.dump(),
            "level": self.level.dump(),
            "spread": self.spread.dump(),
            "drifts": [drift.dump() for drift in self.drifts],
            "records": [record.dump() for record in self.records],
            "restraint": self.restraint.dump(),
            "early": None if self.early is None else self.early.tolist(),
            "scalars": [self.first, self.before, self.unit],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.profile.load(state["profile"])
        self.squashed_profile.load(state["squashed_profile"])
        self.level.load(state["level"])
        self.spread.load(state["spread"])
        for drift, dumped in zip(self.drifts, state["drifts"], strict=True):
            drift.load(dumped)
        for record, dumped in zip(self.records, state["records"], strict=True):
            record.load(dumped)
        self.restraint.load(state["restraint"])
        self.early = None if state["early"] is None else array("d", state["early"])
        self.first, self.before, self.unit = state["scalars"]
