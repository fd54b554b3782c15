"""The money of one event, and exact arithmetic for it."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from schemas.base import SCALE
from schemas.records import PriceStatus

PLACES = SCALE  # what a column of money holds
EXACT = Context(prec=76, rounding=ROUND_HALF_EVEN)  # twice what a column of money holds: products are never cut
_QUANTUM = Decimal(1).scaleb(-PLACES)
ZERO = Decimal(0)
NO_UNIT_PRICES: dict[str, Decimal] = {}


class Priced(NamedTuple):
    """The money of one event in `currency`; None is not known, never zero.

    List is the published price, contracted the one after negotiated discounts, effective with commitments spread over
    what they cover, billed what an invoice asks for this very usage. `estimated_cost` is in USD: the spend at risk
    of an unpriced event. `source` and `version` say which book or card the price is from. `unit_prices` is shared: it
    is for reading only. (A named tuple, for it is made once an event and a frozen dataclass takes four times as long.)
    """

    status: PriceStatus
    currency: str = "USD"
    list_cost: Decimal | None = None
    contracted_cost: Decimal | None = None
    effective_cost: Decimal | None = None
    billed_cost: Decimal | None = None
    effective_cost_usd: Decimal | None = None
    estimated_cost: Decimal | None = None
    unit_prices: dict[str, Decimal] = NO_UNIT_PRICES
    source: str = ""
    version: str = ""


def money(value: Decimal) -> Decimal:
    """`value` to 18 decimals, half to even. Exact for every price whose per-unit rate has no more than 18."""
    return value.quantize(_QUANTUM, context=EXACT)


def times(value: Decimal, factor: Decimal) -> Decimal:
    """The exact product as money."""
    return EXACT.multiply(value, factor).quantize(_QUANTUM, context=EXACT)
