"""A finding's life: opened, updated while it goes on, closed; and the record that says so each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from schemas.records import Meter
from schemas.watch import Decomposition, Finding, FindingKind, Severity
from streams.core.detect.decompose import MICRO, NAMES, cause_of, decompose
from streams.core.detect.drivers import drivers
from streams.core.detect.explain import explain
from streams.core.detect.parts import Parts, parts_from_json, parts_to_json
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.sums import SeriesKey, utc

GROWTH = 1.25  # an update is worth a record when the excess has grown by so much
FOLLOW = 4.0  # an expectation follows the hour of the day by no more than this factor
BREATH = 3600  # seconds after which it is worth one anyway
BASES = ("level", "size", "rate", "own")
"""What a finding measures against: the usual spend, the usual cost of as many requests, the usual price of as many
tokens, or a figure of its own kind."""
IN_QUESTION = {
    "level": NAMES,
    "size": ("tokens_per_request", "unit_price", "mix"),
    "rate": ("unit_price", "mix"),
    "own": ("volume",),
}
DECOMPOSED = (FindingKind.SPIKE, FindingKind.CREEP, FindingKind.NEW_SERIES)


@dataclass(slots=True)
class Stretch:
    """Consecutive windows: what was observed, what each base would have expected, and of what parts."""

    start: int = 0
    seconds: int = 0
    observed: float = 0.0
    expected: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    parts: Parts = field(default_factory=dict)

    def add(self, seconds: int, observed: float, expected: tuple[float, float, float, float]) -> None:
        """Add one window's sums; its parts are put into `parts` by the caller."""
        self.seconds += seconds
        self.observed += observed
        for index, amount in enumerate(expected):
            self.expected[index] += amount

    def to_json(self) -> list[Any]:
        return [self.start, self.seconds, self.observed, self.expected, parts_to_json(self.parts)]

    @classmethod
    def from_json(cls, state: list[Any]) -> Stretch:
        return cls(state[0], state[1], state[2], list(state[3]), parts_from_json(state[4]))


@dataclass(slots=True)
class Case:
    """An open finding and what it has seen so far."""

    kind: FindingKind
    stretch: Stretch
    detected_at: int
    last_seen: int
    basis: int  # index into BASES
    score: float
    height: float  # log-ratio when it opened: calm is well below
    usual: float  # USD per window when it opened
    mid: float  # and what its profile said then; 0 without one
    revision: int = -1
    calm: int = 0  # windows in a row
    told: float = 0.0  # excess of the last record
    told_at: int = 0

    @property
    def excess(self) -> float:
        return self.stretch.observed - self.stretch.expected[self.basis]

    def to_json(self) -> list[Any]:
        return [
            self.kind.value, self.stretch.to_json(), self.detected_at, self.last_seen, self.basis, self.score,
            self.height, self.usual, self.mid, self.revision, self.calm, self.told, self.told_at,
        ]  # fmt: skip

    @classmethod
    def from_json(cls, state: list[Any]) -> Case:
        return cls(FindingKind(state[0]), Stretch.from_json(state[1]), *state[2:])

    def expects(self, mid: float) -> float:
        """The usual of when it opened, as the hour of the day would have changed it."""
        if self.mid <= 0 or mid <= 0:
            return self.usual
        return self.usual * min(FOLLOW, max(1.0 / FOLLOW, mid / self.mid))

    def worth_telling(self, end: int, rules: WatchRules) -> bool:
        """Whether enough has changed since the last record."""
        excess = abs(self.excess)
        crossed = excess >= rules.min_excess_usd > abs(self.told)
        return crossed or excess > GROWTH * abs(self.told) + 0.01 or end - self.told_at >= BREATH


def finding_id(kind: FindingKind, meter: Meter, series: SeriesKey, width: int, opened_at: int) -> str:
    """The same for the same kind, series and start, whatever run finds it."""
    text = "\0".join((kind.value, meter, str(width), *(part for pair in series for part in pair), str(opened_at)))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def severity_of(excess: float, per_hour: float, rules: WatchRules) -> Severity:
    """From dollars: what it has cost, and what it would cost."""
    if abs(excess) + abs(per_hour) * 24 >= rules.critical_usd:
        return Severity.CRITICAL
    return Severity.WARNING if abs(excess) + abs(per_hour) >= rules.min_excess_usd else Severity.INFO


def record(
    case: Case, meter: Meter, series: SeriesKey, width: int, cadence: int, usual: Parts, end: int, rules: WatchRules,
    closed_at: int | None = None,
) -> Finding:  # fmt: skip
    """The finding's whole state as of `end`. Counts the revision."""
    stretch = case.stretch
    case.revision += 1
    case.told, case.told_at = case.excess, end
    hours = stretch.seconds / HOUR
    expected = stretch.expected[case.basis]
    excess = Decimal(repr(case.excess)).quantize(MICRO)
    per_hour = case.excess / hours if hours else 0.0
    kind = case.kind
    main = drivers(stretch.parts, {} if kind in {FindingKind.NEW_SERIES, FindingKind.IDLE} else usual, expected, excess)
    split: Decomposition | None = None
    if kind in DECOMPOSED and excess:
        split = decompose(stretch.parts, usual, expected, excess, IN_QUESTION[BASES[case.basis]])
    observed_rate, expected_rate = stretch.observed / hours, expected / hours
    return Finding.model_construct(
        type="finding",
        finding_id=finding_id(kind, meter, series, width, stretch.start),
        revision=case.revision,
        status="open" if closed_at is None else "closed",
        kind=kind,
        meter=meter,
        series=dict(series),
        cadence_seconds=cadence,
        opened_at=utc(stretch.start),
        detected_at=utc(case.detected_at),
        last_seen_at=utc(case.last_seen),
        closed_at=None if closed_at is None else utc(closed_at),
        expected_usd_per_hour=Decimal(repr(expected_rate)).quantize(MICRO),
        observed_usd_per_hour=Decimal(repr(observed_rate)).quantize(MICRO),
        excess_usd=excess,
        projected_usd_24h=Decimal(repr(per_hour * DAY / HOUR)).quantize(MICRO),
        score=round(case.score, 4),
        severity=severity_of(case.excess, per_hour, rules),
        drivers=main,
        decomposition=split,
        cause=cause_of(split, excess) if split is not None else kind.value,
        explanation=explain(
            kind, meter, series, stretch.start, observed_rate, expected_rate, excess, main, split
        ),
        remedies=[],
    )

