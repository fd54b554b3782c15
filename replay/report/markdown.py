"""The report as Markdown: for a ticket, a wiki, a mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from replay.report.content import Report
from replay.report.incidents import BILL_DELAY, Incident
from replay.report.ledger import HOUR
from replay.report.wording import KINDS, dollars, named, saved, share, span, units, what_it_was, when
from streams.core.alert.words import who

SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|"} | {"\n": " ", "\r": " "})


def render(report: Report) -> str:
    """The whole document."""
    lines = [f"# {plain(report.title)}", ""]
    if report.first and report.last:
        first, last = (when(datetime.fromisoformat(text)) for text in (report.first, report.last))
        lines.append(f"{first} to {last} UTC, {report.summary['events_read']:,} events.")
    else:
        lines.append("This history holds no events.")
    lines += ["", *_headlines(report), "", "## Incidents", ""]
    for number, one in enumerate(report.incidents, start=1):
        lines += _incident(number, one)
    if not report.incidents:
        lines += ["Nothing paged.", ""]
    else:
        lines += [f"Saved: actual less expected between our alert and the end of the UTC day it began in plus "
                  f"{BILL_DELAY // HOUR} h, when a daily bill shows it.", ""]  # fmt: skip
    if report.recorded:
        rows = [
            (who(one.series, one.meter), KINDS[one.kind.value], when(one.opened_at), dollars(one.excess_usd))
            for one in report.recorded
        ]
        title = f"## Recorded, not paged ({len(rows)} of {report.recorded_count})"
        lines += [title, "", *_table(("what", "kind", "began (UTC)", "excess"), rows), ""]
    return "\n".join([*lines, *_money(report), *_footer(report)]) + "\n"


def plain(text: str) -> str:
    """Text that means nothing in Markdown or HTML."""
    return text.translate(SPECIAL)


def _headlines(report: Report) -> list[str]:
    lines = [f"- Effective cost: {dollars(total, currency)} ({currency})" for currency, total in report.totals.items()]
    lines.append(f"- Incidents that page: {len(report.incidents)}; findings besides: {report.recorded_count}")
    if report.incidents:
        lines.append(f"- They cost {dollars(report.cost)} above what was expected; saved against a daily bill: "
                     f"{dollars(report.saved)}")  # fmt: skip
    lines += [f"- With an owner: {share(one.share)} of {dollars(one.total, one.currency)}" for one in report.coverage]
    if report.at_risk:
        lines.append(f"- Without a price: about {dollars(report.at_risk)}")
    if report.unwatched:
        lines.append(f"- Charged but not watched, for want of a rate to USD: {', '.join(report.unwatched)}")
    return lines


def _incident(number: int, one: Incident) -> list[str]:
    alert = one.alert
    end = "ended" if one.is_over else "still going on at"
    lines = [
        f"### {number}. {plain(alert.title)} ({KINDS[alert.kind.value]}, {alert.severity.value})", "",
        plain(alert.explanation), "",
        f"- Began {when(one.began)}, detected {when(alert.detected_at)}, {end} {when(one.ended)} (UTC)",
        f"- Expected {dollars(alert.expected_usd_per_hour)} an hour, actual {dollars(alert.observed_usd_per_hour)}",
    ]  # fmt: skip
    if what_it_was(one):
        lines.append(f"- What it was: {plain(what_it_was(one))}")
    if one.cost is not None:
        lines.append(f"- Cost {'until it ended' if one.is_over else 'so far'}: {dollars(one.cost)}")
    if saved(one):
        lines.append(f"- Saved: {saved(one)}")
    lines += [f"- {plain(remedy)}" for remedy in alert.remedies]
    if one.changes:
        rows = [
            (named(each.name), dollars(each.before), dollars(each.during), when(each.first_seen))
            for each in one.changes
        ]
        lines += ["", *_table(("what rose most", "before", "during", "first seen"), rows)]
    return [*lines, ""]


def _money(report: Report) -> list[str]:
    lines: list[str] = []
    for table in report.units:
        rows = [(unit.of, dollars(unit.each), units(unit.units), dollars(unit.usd)) for unit in table.rows]
        lines += [f"## USD per {table.per}", "", *_table(("of", "USD each", "units", "spend"), rows), ""]
    for one in report.coverage:
        rows2 = [(team or "no owner", dollars(amount, one.currency)) for team, amount in one.teams]
        lines += [f"## Spend by team, {one.currency}", "", *_table(("team", "spend"), rows2), ""]
    for spend in report.spend:
        if spend.forecast.error is not None:
            words = f"off by {share(spend.forecast.error)} of the spend over {len(spend.forecast.days)} days"
            lines += [f"Forecast of {spend.name.lower()} a day ahead, exponential smoothing: {words}.", ""]
        lines += [f"{spend.name}: {dollars(spend.total, spend.currency)}, plotted by {span(spend.step)}.", ""]
    return lines


def _footer(report: Report) -> list[str]:
    said = {True: "holds", False: "DOES NOT HOLD"}
    checks = [f"- {check.name}: {check.left} = {check.right} {said[check.holds]}" for check in report.checks]
    return ["## Reconciliation", "", *checks]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return head + [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
