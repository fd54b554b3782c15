"""Numbers, times and names as the pages say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from schemas.records import Meter
from streams.core.alert.words import NOUNS, TELLING, usd, who

STATES = {
    "firing": "Firing", "acknowledged": "Acknowledged", "snoozed": "Snoozed", "resolved": "Resolved",
    "false_positive": "False positive", "expected": "Expected",
}  # fmt: skip
CHANGES = {
    "opened": "Alert opened", "updated": "Became more severe", "acked": "Acknowledged", "unacked": "Given back",
    "snoozed": "Snoozed", "snooze_expired": "Snooze is over", "resolved": "Spend is back to normal",
    "resolved_by_hand": "Resolved", "marked_false_positive": "Marked as false positive",
    "marked_expected": "Marked as expected", "reopened": "Reopened", "escalated": "Escalated", "refused": "Refused",
    "remedy_proposed": "Remedy proposed", "remedy_dry_run": "Remedy tried on paper",
    "remedy_approved": "Remedy approved", "remedy_started": "Remedy begun", "remedy_done": "Remedy done",
    "remedy_failed": "Remedy failed", "remedy_undoing": "Remedy is being undone", "remedy_undone": "Remedy undone",
    "remedy_undo_failed": "Undoing failed", "remedy_held": "Remedy held back by a limit",
    "remedy_measured": "Effect of the remedy measured",
}  # fmt: skip
ACTIONS = {
    "ack": "Acknowledge", "unack": "Give back", "snooze": "Snooze", "resolve": "Resolve", "reopen": "Reopen",
    "false_positive": "False positive", "expected": "Expected",
}  # fmt: skip
PARTS = {
    "volume": ("Volume", "more or fewer requests, GPU-minutes"),
    "tokens_per_request": ("Tokens per request", "longer or shorter prompts and answers"),
    "unit_price": ("Unit price", "cache misses, tiers, prices"),
    "mix": ("Mix", "other models"),
}
KINDS = {
    "spike": "spike", "drop": "drop", "creep": "creep", "new_series": "new", "unpriced": "no price",
    "unallocated": "no owner", "idle": "idle GPUs", "budget_burn": "budget",
}  # fmt: skip
UNKNOWN = "\N{EN DASH}"
VIA = {"api": "by the API", "cli": "on the command line", "console": "in the console", "link": "by a link"}


def money(amount: Decimal | float | None, *, plus: bool = False) -> str:
    """US dollars as one says them, with a sign below zero: `$1,234`, `-$0.42`; `plus` shows it always."""
    if amount is None:
        return UNKNOWN
    value = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    if abs(value) < Decimal("0.000001"):
        return "$0"
    return f"{'-' if value < 0 else '+' if plus else ''}{usd(value)}"


def against(now: Decimal | float, usual: float | None) -> str:
    """How now compares: `7.4 times`, `+18%`; nothing where there is nothing to compare with."""
    if not usual or usual < 0.005:
        return ""
    ratio = float(now) / usual
    if ratio >= 2:
        return f"{ratio:.1f} times" if ratio < 100 else f"{ratio:,.0f} times"
    change = round((ratio - 1) * 100)
    return f"{change:+d}%" if change else "as usual"


def span(length: timedelta | float) -> str:
    """A stretch of time in its largest two units: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    if seconds < 3_600:
        return f"{seconds // 60} min"
    if seconds < 86_400:
        hours, minutes = divmod(seconds // 60, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(seconds // 3_600, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock(at: datetime) -> str:
    """`14:03:22 UTC`."""
    return f"{at:%H:%M:%S} UTC"


def stamp(at: datetime) -> str:
    """`21 Nov 14:03 UTC`."""
    return f"{at.day} {at:%b %H:%M} UTC"


def driver_name(driver: Mapping[str, str], series: Mapping[str, str], meter: Meter) -> tuple[str, str]:
    """What a driver says beyond the series it is a part of: the two names that tell most, in words, and the others."""
    more = {name: driver[name] for name in TELLING if name in driver and name not in series} or driver
    told = dict(list(more.items())[:2])
    return series_name(told, meter), ", ".join(f"{NOUNS[name]} {more[name]}" for name in more if name not in told)


def series_name(series: Mapping[str, str], meter: Meter) -> str:
    """A series in words, to begin a sentence with."""
    words = who(series, meter)
    return words[:1].upper() + words[1:]
