"""How a report says amounts, times and shares: the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from replay.report.incidents import Change, Incident
from replay.report.ledger import HOUR
from streams.core.alert.words import usd as positive

KINDS = {
    "spike": "spike", "drop": "drop", "creep": "rise", "new_series": "new spender", "unpriced": "usage without a price",
    "unallocated": "spend without an owner", "idle": "idle GPUs", "budget_burn": "budget burning",
}  # fmt: skip
PARTS = {
    "volume": "more use", "tokens_per_request": "more tokens per request", "unit_price": "dearer tokens",
    "mix": "dearer models",
}  # fmt: skip


def dollars(amount: Decimal | float | None, currency: str = "USD") -> str:
    """`$1,234`, `-$0.42`, `EUR 12.30`; a dash for what nobody knows."""
    if amount is None:
        return "\u2013"
    value = Decimal(repr(amount)) if isinstance(amount, float) else amount
    text = positive(value) if currency == "USD" else f"{currency} {positive(value)[1:]}"
    return f"\u2212{text}" if value < 0 else text


def when(time: datetime | None) -> str:
    """`10 Oct 2018 07:00`, UTC."""
    return f"{time.day} {time:%b %Y %H:%M}" if time is not None else "\u2013"


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `9.5 h`, `6.1 days`."""
    for unit, size, least in (("days", 86_400, 172_800), ("h", HOUR, 7200), ("min", 60, 120)):
        if abs(seconds) >= least:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


def share(value: float | None) -> str:
    """`93.4%`, or a dash."""
    return "\u2013" if value is None else f"{value:.1%}"


def units(count: Decimal) -> str:
    """How many: whole ones from a hundred on, four places below one."""
    return f"{count:,.{0 if count >= 100 else 1 if count >= 1 else 4}f}"


def named(parts: Mapping[str, str]) -> str:
    """What a part of an incident is called: its values, the most telling first."""
    return ", ".join(parts.values()) or "(not told apart)"


def what_it_was(one: Incident) -> str:
    """One sentence from the charges: the part that rose most, since when it is there, and how it compares."""
    change = _telling(one)
    if change is None:
        return ""
    length = span((one.ended - one.began).total_seconds())
    against = f"{dollars(change.during)} in {length}, against {dollars(change.before)} in as long before"
    return f"{named(change.name)}: {against}; first seen {when(change.first_seen)} UTC."


def _telling(one: Incident) -> Change | None:
    return one.changes[0] if one.changes and one.changes[0].name else None


def saved(one: Incident) -> str:
    """What an early word is worth, with the two delays it comes from."""
    if one.saving is None:
        return ""
    return (
        f"{dollars(one.saving.usd)}: known {span(one.saving.ours)} after it began, "
        f"where a daily bill shows it after {span(one.saving.bills)}."
    )
