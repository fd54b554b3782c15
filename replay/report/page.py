"""The report as one HTML file: no script, no font, no image from elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from replay.report import svg, wording
from replay.report.content import Report, Spend
from replay.report.incidents import BILL_DELAY, Incident, told_drivers
from replay.report.ledger import HOUR, epoch
from replay.report.units import Coverage
from streams.core.alert.words import who
from streams.core.windows.sums import utc

DECOMPOSED = tuple(wording.PARTS)


def render(report: Report) -> str:
    """The whole file. Whatever a tag or a name holds is escaped."""
    environment = Environment(
        loader=PackageLoader("replay.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        usd=wording.dollars,
        when=wording.when,
        span=wording.span,
        share=wording.share,
        named=wording.named,
        units=wording.units,
    )
    environment.globals.update(
        spend_plot=lambda one: _spend_plot(report, one), card_plot=_card_plot, forecast_plot=_forecast_plot,
        decomposition=_decomposition, coverage_plot=_coverage_plot, drivers=_drivers, kinds=wording.KINDS, who=who,
        saved=wording.saved, what_it_was=wording.what_it_was, utc=utc, moment=_moment, bill_delay=BILL_DELAY // HOUR,
        sign=_sign,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(report=report)


def _spend_plot(report: Report, one: Spend) -> Markup:
    """Spend over time, with a numbered band for each incident of this kind of usage."""
    bands = [
        svg.Band(epoch(each.began), epoch(each.ended), str(number), f"#incident-{number}")
        for number, each in enumerate(report.incidents, start=1)
        if each.alert.meter == one.meter and one.currency == "USD"
    ]
    title = f"{one.name}: spend per {wording.span(one.step)}, {one.currency}"
    return svg.over_time(
        title, one.start, one.step, [svg.Line("actual", one.values)], bands=bands, unit=_sign(one.currency)
    )


def _card_plot(one: Incident) -> Markup:
    plot = one.plot
    if plot is None:
        return Markup("")
    bands = [svg.Band(epoch(one.began), epoch(one.ended), "")]
    expected = svg.Line("expected", [plot.expected] * len(plot.values))
    title = f"Spend of {one.who} per {wording.span(plot.step)}, and what was expected"
    return svg.over_time(title, plot.start, plot.step, [svg.Line("actual", plot.values), expected], bands=bands)


def _forecast_plot(one: Spend) -> Markup:
    days = one.forecast.days
    actual = svg.Line("actual", [day.actual for day in days])
    ahead = svg.Line("expected", [day.forecast for day in days])
    return svg.over_time(
        f"{one.name}: each day, and its forecast", days[0].start, 86_400, [actual, ahead], unit=_sign(one.currency)
    )


def _decomposition(one: Incident) -> Markup:
    split = one.alert.decomposition
    if split is None or one.alert.meter != "token_call":  # a bill says nothing of prices and tokens
        return Markup("")
    rows = [(wording.PARTS[name], getattr(split, name)) for name in DECOMPOSED]
    return svg.bars("Why: parts of the excess", [(name, float(usd), wording.dollars(usd)) for name, usd in rows])


def _coverage_plot(one: Coverage) -> Markup:
    rows = [(team or "no owner", float(amount), wording.dollars(amount, one.currency)) for team, amount in one.teams]
    return svg.bars(f"Spend by team, {one.currency}", rows)


def _drivers(one: Incident) -> list[tuple[str, Any, float]]:
    return told_drivers(one.alert.drivers, one.alert.meter)


def _sign(currency: str) -> str:
    return "$" if currency == "USD" else f"{currency} "


def _moment(text: str | None) -> str:
    return wording.when(datetime.fromisoformat(text)) if text else "\u2013"
