"""What was negotiated: discounts off the list price, and throughput paid for in advance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from schemas.ratecards import Commitment, Discount
from schemas.records import Meter
from streams.core.price.cards import Cards, matches

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys what: `names` are the model's, as the event and as the price book give it, or the accelerator's."""

    provider: str
    names: frozenset[str]
    account: str
    tier: str = ""


def discount(cards: Cards, meter: Meter, buyer: Buyer, day: date) -> Decimal | None:
    """What the list price is multiplied by; None where nothing was negotiated. The first row that fits holds."""
    for row in cards.discount:
        if row.meter == meter and _fits(row, buyer, day):
            return (_HUNDRED - row.percent) / _HUNDRED
    return None


def commitment(cards: Cards, buyer: Buyer, day: date) -> Commitment | None:
    """The advance payment that covers a call; None where it is paid as it goes."""
    for row in cards.commitment:
        if _fits(row, buyer, day) and matches(row.service_tier, buyer.tier):
            return row
    return None


def _fits(row: Discount | Commitment, buyer: Buyer, day: date) -> bool:
    return (
        row.holds(day)
        and matches(row.provider, buyer.provider)
        and matches(row.account, buyer.account)
        and any(matches(row.model, name) for name in buyer.names)
    )


def provisioned_usd_per_token(row: Commitment) -> Decimal | None:
    """A token's part of provisioned throughput; None for prepaid spend."""
    if row.usd_per_hour is None or row.planned_mtok_per_hour is None:
        return None
    return row.usd_per_hour / row.planned_mtok_per_hour / 1_000_000
