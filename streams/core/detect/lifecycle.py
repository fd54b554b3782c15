"""A finding's life: opened, updated while it goes on, closed; and the record that says so each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Protocol

from schemas.records import Meter
from schemas.watch import Decomposition, Finding, FindingKind
from streams.core.detect.cadence import Pace
from streams.core.detect.decompose import MICRO, NAMES, cause_of, decompose
from streams.core.detect.drivers import drivers, main_payer
from streams.core.detect.explain import explain
from streams.core.detect.gauge import LONGEST
from streams.core.detect.gauges import LEVEL, OUTPUT, OWN, RATE, SIZE, Expected
from streams.core.detect.parts import Makeup, Parts, parts_from_json, parts_to_json
from streams.core.detect.rules import DAY, HOUR, WatchRules
from streams.core.windows.sums import SeriesKey, utc

GROWTH = 1.25  # an update is worth a record when the excess has grown by so much
FOLLOW = 10.0  # an expectation follows the hour of the day by no more than this factor
MORE = 1.5  # times: clearly more
FIELDS_V1 = 4  # what a stretch expected before it knew of output: of LEVEL, SIZE, RATE and OWN
BREATH = 3600  # seconds after which it is worth one anyway
IN_QUESTION = (NAMES, ("tokens_per_request", "unit_price", "mix"), ("unit_price", "mix"), NAMES, ("volume",))
"""By LEVEL, SIZE, RATE, OUTPUT, OWN: a finding about prices takes the volume as given."""
YOUNG_PAYERS = {"token_call"}
"""Where a payer too young to be judged is not left to its own series. Services and clusters often begin in lumps, and
what they spend before they are known is told as new."""
RISING = (FindingKind.SPIKE, FindingKind.CREEP)
DECOMPOSED = (FindingKind.SPIKE, FindingKind.CREEP, FindingKind.NEW_SERIES)


class Subject(Protocol):
    """Whom a finding is about: a series, as far as its record shows it."""

    meter: Meter
    key: SeriesKey
    width: int  # seconds
    pace: Pace
    makeup: Makeup


@dataclass(slots=True)
class Stretch:
    """Consecutive windows: what was observed, what each base would have expected, and of what parts."""

    start: int = 0
    seconds: int = 0
    observed: float = 0.0
    expected: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0, 0.0])
    parts: Parts = field(default_factory=dict)

    def add(self, seconds: int, observed: float, expected: Expected) -> None:
        """Add one window's sums; its parts are put into `parts` by the caller."""
        self.seconds += seconds
        self.observed += observed
        for index, amount in enumerate(expected):
            self.expected[index] += amount

    def to_json(self) -> list[Any]:
        return [self.start, self.seconds, self.observed, self.expected, parts_to_json(self.parts)]

    @classmethod
    def from_json(cls, state: list[Any]) -> Stretch:
        expected = list(state[3])
        if len(expected) == FIELDS_V1:
            expected.insert(OUTPUT, expected[LEVEL])
        return cls(state[0], state[1], state[2], expected, parts_from_json(state[4]))


@dataclass(slots=True)
class Case:
    """An open finding and what it has seen so far."""

    kind: FindingKind
    stretch: Stretch
    detected_at: int
    last_seen: int
    basis: int  # LEVEL, SIZE, RATE, OUTPUT or OWN
    score: float = 1.0
    height: float = 0.0  # log-ratio when it opened: calm is well below
    usual: float = 0.0  # USD per window when it opened
    mid: float = 0.0  # and what its profile said then; 0 without one
    hidden: bool = False  # nearly all of it is one payer's, whose own series tells of it
    settled: bool = False  # a person has said what it is
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
            self.height, self.usual, self.mid, self.hidden, self.settled, self.revision, self.calm, self.told,
            self.told_at,
        ]  # fmt: skip

    @classmethod
    def from_json(cls, state: list[Any]) -> Case:
        case = cls(FindingKind(state[0]), Stretch.from_json(state[1]), *state[2:])
        if len(state[1][3]) == FIELDS_V1 and case.basis == OUTPUT:
            case.basis = OWN
        return case

    def settle(self) -> None:
        """A finding about prices that turns out to be one about volume, mostly, is measured against the usual spend."""
        stretch = self.stretch
        usual = stretch.expected[LEVEL]
        whole = stretch.observed - usual
        if self.basis in {SIZE, RATE} and stretch.observed > MORE * usual and whole > MORE * self.excess:
            self.basis = LEVEL

    def is_outgrown(self, seconds: int, excess: float, times: int) -> bool:
        """Whether a window with that excess is another incident: so many times what this one has cost a window, which
        people were told of. In its first windows it is the same that grows."""
        many = excess * self.stretch.seconds > times * max(0.0, self.excess) * seconds
        return many and self.revision >= 0 and self.stretch.seconds >= LONGEST * seconds

    def expects(self, mid: float) -> float:
        """The usual of when it opened, as the hour of the day would have changed it."""
        if self.mid <= 0 or mid <= 0:
            return self.usual
        return self.usual * min(FOLLOW, max(1.0 / FOLLOW, mid / self.mid))

    def look(self, whose: Subject, rules: WatchRules) -> None:
        """Hide what is one payer's and told by the payer's own series; show what turns out to be more than that. Of a
        payer too young for its own series to judge is told here."""
        makeup = whose.makeup
        payer = makeup.payer
        if self.revision >= 0 or self.kind not in RISING or payer not in rules.payers:
            return
        own = any(name == payer for name, _ in whose.key)
        expected = self.stretch.expected[self.basis]
        who = None if own else main_payer(self.stretch.parts, makeup.usual, expected, payer)
        self.hidden = who is not None and (whose.meter not in YOUNG_PAYERS or makeup.knows(who, rules.warmup_windows))

    def worth_telling(self, end: int, rules: WatchRules) -> bool:
        """Whether enough has changed since the last record."""
        excess = abs(self.excess)
        crossed = excess >= rules.min_excess_usd > abs(self.told)
        return crossed or excess > GROWTH * abs(self.told) + 0.01 or end - self.told_at >= BREATH


def finding_id(kind: FindingKind, meter: Meter, series: SeriesKey, width: int, opened_at: int) -> str:
    """The same for the same kind, series and start, whatever run finds it."""
    text = "\0".join((kind.value, meter, str(width), *(part for pair in series for part in pair), str(opened_at)))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def record(case: Case, whose: Subject, end: int, rules: WatchRules, closed_at: int | None = None) -> Finding:
    """The finding's whole state as of `end`. Counts the revision."""
    stretch = case.stretch
    meter, series, usual = whose.meter, whose.key, whose.makeup.usual
    case.revision += 1
    case.told, case.told_at = case.excess, end
    hours = stretch.seconds / HOUR
    expected = stretch.expected[case.basis]
    excess = Decimal(repr(case.excess)).quantize(MICRO)
    per_hour = case.excess / hours if hours else 0.0
    projected = Decimal(repr(per_hour * DAY / HOUR)).quantize(MICRO)
    kind = case.kind
    main = drivers(stretch.parts, {} if kind in {FindingKind.NEW_SERIES, FindingKind.IDLE} else usual, expected, excess)
    split: Decomposition | None = None
    if kind in DECOMPOSED and excess:
        split = decompose(stretch.parts, usual, expected, excess, IN_QUESTION[case.basis])
    observed_rate, expected_rate = stretch.observed / hours, expected / hours
    return Finding.model_construct(
        type="finding",
        finding_id=finding_id(kind, meter, series, whose.width, stretch.start),
        revision=case.revision,
        status="open" if closed_at is None else "closed",
        kind=kind,
        meter=meter,
        series=dict(series),
        cadence_seconds=whose.pace.seconds,
        opened_at=utc(stretch.start),
        detected_at=utc(case.detected_at),
        last_seen_at=utc(case.last_seen),
        closed_at=None if closed_at is None else utc(closed_at),
        expected_usd_per_hour=Decimal(repr(expected_rate)).quantize(MICRO),
        observed_usd_per_hour=Decimal(repr(observed_rate)).quantize(MICRO),
        excess_usd=excess,
        projected_usd_24h=projected,
        score=round(case.score, 4),
        severity=rules.severity.of(excess, projected, going_on=closed_at is None),
        drivers=main,
        decomposition=split,
        cause=cause_of(split, excess) if split is not None else kind.value,
        explanation=explain(
            kind,
            meter,
            series,
            opened_at=stretch.start,
            observed=observed_rate,
            expected=expected_rate,
            excess=excess,
            drivers=main,
            decomposition=split,
        ),
        remedies=[],
    )
