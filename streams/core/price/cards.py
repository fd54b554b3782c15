"""The rate cards of all files together, and which of their rows holds for what on a day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase

from schemas.ratecards import Commitment, Dated, Discount, FxRate, GpuRate, TokenPrice


@dataclass(frozen=True, slots=True)
class Cards:
    """Rows in order of precedence: those of your own files before the shipped ones, later dates before earlier."""

    gpu: tuple[GpuRate, ...] = ()
    token: tuple[TokenPrice, ...] = ()
    discount: tuple[Discount, ...] = ()
    commitment: tuple[Commitment, ...] = ()
    version: str = ""  # of the files together

    def days(self) -> set[date]:
        """Every day on which a row of token prices begins or ends."""
        rows: Iterable[Dated] = (*self.token, *self.discount, *self.commitment)
        return {day for row in rows for day in (row.starts, row.until) if day is not None}


class Exchange:
    """Dated exchange rates into USD. A rate holds from its day until the next one of its currency."""

    def __init__(self, rates: Iterable[FxRate] = ()) -> None:
        self._by_currency: dict[str, tuple[list[date], list[Decimal]]] = {}
        for rate in sorted(rates, key=lambda r: r.date):
            days, values = self._by_currency.setdefault(rate.currency, ([], []))
            days.append(rate.date)
            values.append(rate.usd)

    def usd(self, currency: str, day: date) -> Decimal | None:
        """US dollars per unit of `currency` on `day`; None where no rate is known."""
        if currency == "USD":
            return Decimal(1)
        days, values = self._by_currency.get(currency, ([], []))
        at = bisect_right(days, day)
        return values[at - 1] if at else None


def matches(pattern: str, value: str) -> bool:
    """Whether a glob takes `value`, whatever its case."""
    return pattern == "*" or fnmatchcase(value.lower(), pattern.lower())
