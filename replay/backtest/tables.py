"""Figures as the rows of a table: the same on the screen and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from replay.backtest.figures import Figures

Row = tuple[str, ...]
LABELLED: Row = (
    "", "recall", "precision", "alerts/week", "false", "to detect", "worst", "$ before", "of $ at stake", "quiet kept",
)  # fmt: skip
UNLABELLED: Row = ("", "alerts", "alerts/week", "$ excess paged", "$ when paged")
KINDS: Row = ("incident", "expected", "met", "alerts", "to detect", "$", "$ before")
SERIES: Row = ("series", "alerts", "false", "$ excess")


def header(*, labelled: bool) -> Row:
    """The columns of a comparison."""
    return LABELLED if labelled else UNLABELLED


def row(name: str, found: Figures, *, labelled: bool) -> Row:
    """One variant's line."""
    week = number(found.alerts_per_week)
    if not labelled:
        return name, str(found.alerts), week, money(found.excess_usd_paged), money(found.first_usd_paged)
    caught = f"{percent(found.recall)} ({found.caught}/{found.incidents})" if found.incidents else "-"
    false = str(found.false_alerts + found.alerts_on_quiet)
    return (
        name, caught, percent(found.precision), week, false, span(found.median_seconds_to_detect),
        span(found.worst_seconds_to_detect), money(found.usd_before_detection), percent(found.usd_before_share),
        found.kept_quiet,
    )  # fmt: skip


def kinds(found: Figures) -> list[Row]:
    """What was caught of each kind of incident."""
    return [
        (
            kind, one["expect"], f"{one['met']}/{one['labels']}", str(one["alerts"]),
            span(one["median_seconds_to_detect"]), money(one["usd"]), money(one["usd_before_detection"]),
        )
        for kind, one in found.per_kind.items()
    ]  # fmt: skip


def series(found: Figures) -> list[Row]:
    """Which series alert most."""
    return [
        (name, str(one["alerts"]), str(one["false_alerts"]), money(one["excess_usd"]))
        for name, one in found.per_series.items()
    ]


def markdown(header: Row, rows: Sequence[Row]) -> str:
    """A table. What a name holds can't break out of its cell."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in one) + " |" for one in rows]
    return "\n".join(lines)


def span(seconds: float | None) -> str:
    """Seconds as one says them: `45 s`, `12.5 min`, `9.0 h`, `2.1 d`; a dash for none."""
    if seconds is None:
        return "-"
    for unit, size, least in (("d", 86_400, 172_800), ("h", 3600, 7200), ("min", 60, 120)):
        if abs(seconds) >= least:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def money(amount: float | str | None) -> str:
    """USD to the cent, a dash for what nobody knows."""
    return "-" if amount is None else f"{float(amount):,.2f}"


def percent(share: float | None) -> str:
    """A share of 1, a dash for none."""
    return "-" if share is None else f"{share:.1%}"


def number(value: float | None) -> str:
    """A rate, a dash for none."""
    return "-" if value is None else f"{value:.2f}"
