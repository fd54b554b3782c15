"""Everything that a report says, as plain values: HTML, Markdown and JSON are three ways to write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from replay.report.forecast import Forecast, forecast
from replay.report.incidents import Incident, excess, incident, loudest
from replay.report.ledger import DAY, Ledger, epoch, ledgers, money, step_for
from replay.report.rundir import Run
from replay.report.shared import Claim, counted_once
from replay.report.units import Coverage, UnitCosts, coverage, unit_costs
from schemas.base import plain_decimal
from schemas.records import Meter
from schemas.watch import Finding

POINTS = 260  # of the plot of a whole history
RECORDED = 20  # findings shown that paged nobody
NAMES: dict[Meter, str] = {"token_call": "Model calls", "gpu_usage": "GPU time", "line_item": "Bill lines"}


@dataclass(frozen=True, slots=True)
class Spend:
    """One kind of usage in one currency over time, by `step` seconds from `start` (epoch seconds UTC)."""

    name: str
    meter: Meter
    currency: str
    start: int
    step: int
    values: tuple[float, ...]
    total: Decimal
    long_periods: Decimal  # charged for more than a day: in the total of the bill, not in the plot
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Check:
    """A sum that must be equal to another."""

    name: str
    left: str
    right: str

    @property
    def holds(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class Report:
    """A run, told. Money in the currency named, else in USD; times UTC."""

    title: str
    summary: Mapping[str, Any]
    first: str | None
    last: str | None
    totals: Mapping[str, Decimal]  # effective cost by the currency charged in
    spend: tuple[Spend, ...]
    incidents: tuple[Incident, ...]
    recorded: tuple[Finding, ...]
    recorded_count: int
    coverage: tuple[Coverage, ...]
    units: tuple[UnitCosts, ...]
    unwatched: tuple[str, ...]  # currencies that no dated rate converts: no window sums them
    at_risk: Decimal  # USD, of usage without a price
    checks: tuple[Check, ...]
    cost: Decimal  # what the incidents came to, and what early words saved: dollars that two of them saw count once
    saved: Decimal


def build(run: Run, title: str) -> Report:
    """Put together what a run's files hold."""
    found, long = ledgers(run.charges)
    usd = {ledger.meter: ledger for ledger in found if ledger.currency == "USD"}
    findings = {finding.finding_id: finding for finding in run.findings}
    incidents = [incident(alert, findings.get(alert.finding_id), usd.get(alert.meter)) for alert in run.alerts]
    paged = {name for alert in run.alerts for name in alert.findings}
    rest = [finding for finding in run.findings if finding.finding_id not in paged]
    rest.sort(key=lambda finding: (-abs(finding.excess_usd), finding.finding_id))
    currencies = sorted({ledger.currency for ledger in found} | {currency for _, currency in long})
    totals = {name: Decimal(text) for name, text in run.summary.get("effective_cost", {}).items()}
    return Report(
        title=title,
        summary=run.summary,
        first=run.summary.get("first_event_time"),
        last=run.summary.get("last_event_time"),
        totals=totals,
        spend=tuple(_spend(ledger, long.get((ledger.meter, ledger.currency), Decimal(0))) for ledger in found),
        incidents=tuple(loudest(incidents)),
        recorded=tuple(rest[:RECORDED]),
        recorded_count=len(rest),
        coverage=tuple(coverage(run.charges, currencies)),
        units=tuple(unit_costs(found)),
        unwatched=tuple(currency for currency in currencies if currency != "USD"),
        at_risk=money(pc.sum(run.charges["estimated_cost"])),
        checks=tuple(_checks(run, totals)),
        cost=counted_once(map(_cost, (one for one in incidents if one.alert.excess_usd > 0)), usd, excess),
        saved=counted_once((claim for one in incidents if (claim := _saved(one)) is not None), usd, excess),
    )


def _cost(one: Incident) -> Claim:
    usd = one.cost if one.cost is not None else one.alert.excess_usd
    return Claim(one.alert, epoch(one.began), epoch(one.ended), usd)


def _saved(one: Incident) -> Claim | None:
    if one.saving is None:
        return None
    start, end = one.alert.detected_at, min(one.ended, one.began + timedelta(seconds=one.saving.bills))
    return Claim(one.alert, epoch(start), epoch(end), one.saving.usd)


def _spend(ledger: Ledger, long: Decimal) -> Spend:
    first, last = ledger.span()
    step = step_for(last - first + 1, POINTS)
    start = first // step * step
    spent = ledger.by_time(step)
    values = tuple(float(spent.get(at, 0)) for at in range(start, last + 1, step))
    name = NAMES[ledger.meter] + ("" if ledger.currency == "USD" else f", {ledger.currency}")
    return Spend(name, ledger.meter, ledger.currency, start, step, values, ledger.total, long, _forecast(ledger))


def _forecast(ledger: Ledger) -> Forecast:
    """Over whole UTC days: the first and the last may be cut."""
    first, last = ledger.span()
    start = -(-first // DAY) * DAY
    # A bill's last hour starts at 23:00, so a day counts as whole when something came in its last hour.
    end = (last + 3600) // DAY * DAY
    spent = ledger.by_time(DAY)
    return forecast(start, [float(spent.get(at, 0)) for at in range(start, end, DAY)])


def _checks(run: Run, totals: Mapping[str, Decimal]) -> list[Check]:
    """What the summary says against what the files hold."""
    summary, charges = run.summary, run.charges
    accounted = sum(int(summary[name]) for name in ("charged", "duplicates", "dead_lettered"))
    checks = [
        Check("events read = charged + duplicates + dead letters", str(summary["events_read"]), str(accounted)),
        Check("events charged = events in charges.parquet", str(summary["charged"]),
              str(pc.sum(pc.equal(charges["part"], 0)).as_py() or 0)),
        Check("alerts in the summary = alerts in alerts.ndjson", str(summary["alerts"]), str(len(run.alerts))),
    ]  # fmt: skip
    for currency, total in totals.items():
        rows = charges.filter(pc.equal(charges["currency"], currency))
        summed = money(pc.sum(rows["effective_cost"]))
        name = f"effective cost in {currency}, summary = sum of charges"
        checks.append(Check(name, plain_decimal(total.normalize()), plain_decimal(summed.normalize())))
    return checks


def to_json(report: Report) -> Any:
    """The report as JSON types: money as decimal text, times as RFC 3339."""
    whole = asdict(report, dict_factory=dict)
    for one, check in zip(whole["checks"], report.checks, strict=True):
        one["holds"] = check.holds
    whole["summary"] = {
        name: value for name, value in report.summary.items() if name not in {"wall_seconds", "events_per_second"}
    }
    return _plain(whole)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
