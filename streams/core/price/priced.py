"""The money of one event, and exact arithmetic for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal

from schemas.records import PriceStatus

PLACES = 12  # what a column of money holds
EXACT = Context(prec=76, rounding=ROUND_HALF_EVEN)  # twice what a column of money holds: products are never cut
_QUANTUM = Decimal(1).scaleb(-PLACES)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Priced:
    """The money of one event in `currency`; None is not known, never zero.

    List is the published price, contracted the one after negotiated discounts, effective with commitments spread over
    what they cover, billed what an invoice asks for this very usage. `estimated_cost` is in USD: the spend at risk
    of an unpriced event. `source` and `version` say which book or card the price is from. `unit_prices` is shared: it
    is for reading only.
    """

    status: PriceStatus
    currency: str = "USD"
    list_cost: Decimal | None = None
    contracted_cost: Decimal | None = None
    effective_cost: Decimal | None = None
    billed_cost: Decimal | None = None
    effective_cost_usd: Decimal | None = None
    estimated_cost: Decimal | None = None
    unit_prices: dict[str, Decimal] = field(default_factory=dict)
    source: str = ""
    version: str = ""


def money(value: Decimal) -> Decimal:
    """`value` to 12 decimals, half to even. Exact for every price whose per-unit rate has no more than 12."""
    return value.quantize(_QUANTUM, context=EXACT)


def times(value: Decimal, factor: Decimal) -> Decimal:
    """The exact product as money."""
    return EXACT.multiply(value, factor).quantize(_QUANTUM, context=EXACT)
