"""What judged alerts come to, as numbers that JSON can carry: None is not known, or does not apply."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any

from replay.backtest.detect import Raised
from replay.backtest.score import Judged, Outcome, Verdict

WEEK = 7 * 86_400
MOST_SERIES = 20  # shown; the rest is summed up


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one variant over one stretch. Delays in seconds, money in USD; shares and rates are of 1."""

    weeks: float
    incidents: int  # that must page
    caught: int
    recall: float | None
    precision: float | None  # of the alerts, those that belong to an incident
    alerts: int
    alerts_per_week: float | None
    false_alerts: int
    alerts_on_quiet: int  # on stretches that are labelled as ordinary
    alerts_per_caught: float | None
    median_seconds_to_detect: float | None
    worst_seconds_to_detect: float | None
    usd_at_stake: float | None
    usd_before_detection: float | None  # what was not caught counts whole
    usd_before_share: float | None
    excess_usd_paged: str  # of all alerts, as they measured it in the end
    first_usd_paged: str  # and when they paged
    recorded: str  # of what must at least be recorded
    kept_quiet: str
    per_kind: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of incident
    alerts_by_kind: Mapping[str, int] = field(default_factory=dict)  # of finding
    per_series: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(judged: Judged) -> Figures:
    """The numbers of a stretch."""
    must = [one for one in judged.outcomes if one.label.expect == "alert"]
    caught = [one for one in must if one.met]
    delays = [one.delay for one in caught if one.delay is not None]
    verdicts = [verdict for _, verdict in judged.alerts]
    hits, alerts = verdicts.count("hit"), len(verdicts)
    weeks = judged.seconds / WEEK
    stake, before = _total(one.usd for one in must), _total(one.usd_before for one in must)
    return Figures(
        weeks=round(weeks, 4),
        incidents=len(must),
        caught=len(caught),
        recall=_ratio(len(caught), len(must)),
        precision=_ratio(hits, alerts) if judged.labelled else None,
        alerts=alerts,
        alerts_per_week=_ratio(alerts, weeks, 2),
        false_alerts=verdicts.count("false"),
        alerts_on_quiet=verdicts.count("quiet"),
        alerts_per_caught=_ratio(sum(one.alerts for one in caught), len(caught), 2),
        median_seconds_to_detect=round(median(delays), 1) if delays else None,
        worst_seconds_to_detect=round(max(delays), 1) if delays else None,
        usd_at_stake=stake,
        usd_before_detection=before,
        usd_before_share=_ratio(before, stake) if stake and before is not None else None,
        excess_usd_paged=_sum(alert.excess_usd for alert, _ in judged.alerts),
        first_usd_paged=_sum(alert.first_usd for alert, _ in judged.alerts),
        recorded=_of(judged.outcomes, "finding"),
        kept_quiet=_of(judged.outcomes, "silence"),
        per_kind=_per_kind(judged.outcomes),
        alerts_by_kind=_alerts_by_kind(judged.alerts),
        per_series=_per_series(judged.alerts),
    )


def _per_kind(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Any]]:
    """By kind, and where labels of one kind expect different things (small ones need not page), by both."""
    kinds: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[outcome.label.kind, outcome.label.expect].append(outcome)
    mixed = Counter(kind for kind, _ in kinds)
    return {
        (kind if mixed[kind] == 1 else f"{kind} ({expect})"): {
            "expect": expect,
            "labels": len(ones),
            "met": sum(one.met for one in ones),
            "alerts": sum(one.alerts for one in ones),
            "median_seconds_to_detect": _median(one.delay for one in ones),
            "usd": _total(one.usd for one in ones),
            "usd_before_detection": _total(one.usd_before for one in ones),
        }
        for (kind, expect), ones in sorted(kinds.items())
    }


def _alerts_by_kind(alerts: Iterable[tuple[Raised, Verdict]]) -> dict[str, int]:
    kinds: dict[str, int] = defaultdict(int)
    for alert, _ in alerts:
        kinds[alert.kind] += 1
    return dict(sorted(kinds.items()))


def _per_series(alerts: Iterable[tuple[Raised, Verdict]]) -> dict[str, dict[str, Any]]:
    by_series: dict[str, list[tuple[Raised, Verdict]]] = defaultdict(list)
    for alert, verdict in alerts:
        by_series[named(alert.series)].append((alert, verdict))
    loudest = sorted(by_series.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    shown = dict(loudest[:MOST_SERIES])
    rest = [one for _, ones in loudest[MOST_SERIES:] for one in ones]
    if rest:
        shown[f"({len(loudest) - MOST_SERIES} others)"] = rest
    return {
        name: {
            "alerts": len(ones),
            "false_alerts": sum(verdict in {"false", "quiet"} for _, verdict in ones),
            "excess_usd": _sum(alert.excess_usd for alert, _ in ones),
        }
        for name, ones in shown.items()
    }


def named(series: Mapping[str, str]) -> str:
    """A series as it is written in tables and label files: `team=search;model=gpt-4o`."""
    return ";".join(f"{name}={value}" for name, value in sorted(series.items())) or "(all)"


def _of(outcomes: Iterable[Outcome], expect: str) -> str:
    ones = [one for one in outcomes if one.label.expect == expect]
    return f"{sum(one.met for one in ones)}/{len(ones)}"


def _ratio(part: float, whole: float, digits: int = 4) -> float | None:
    return round(part / whole, digits) if whole else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 1) if known else None


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 4) if known else None


def _sum(amounts: Iterable[Decimal]) -> str:
    return format(sum(amounts, Decimal(0)), "f")
