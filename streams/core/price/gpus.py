"""GPU-minutes by dated rate card."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

from schemas.events import GpuUsage
from schemas.ratecards import GpuRate
from schemas.records import PriceStatus
from streams.core.price.accelerators import normalise
from streams.core.price.cards import Cards, Exchange
from streams.core.price.priced import EXACT, ZERO, Priced, times
from streams.core.price.terms import Buyer, discount

CACHED = 20_000
PROVIDERS = {"amazon": "aws", "google": "gcp", "google cloud": "gcp", "microsoft": "azure", "on-prem": "onprem"}
_HOUR = Decimal(60)


class GpuPricer:
    """Prices GPU-minutes by the event's time, provider, accelerator, capacity type and region."""

    def __init__(self, cards: Cards, exchange: Exchange) -> None:
        self._cards = cards
        self._exchange = exchange
        self._row = lru_cache(CACHED)(self._find_row)
        self._discount = lru_cache(CACHED)(self._find_discount)

    def price(self, usage: GpuUsage, at: datetime) -> Priced:
        """The usage's money; unpriced, with an estimate, where the cards have no row for it."""
        day = at.astimezone(UTC).date()
        provider, region = usage.provider.lower(), (usage.region or "").lower()
        row = self._row(provider, usage.accelerator, usage.capacity_type, region, day)
        if row is None:
            return self._unpriced(usage, day)
        effective = _cost(usage, row)
        listed, contracted = self._list_and_contracted(usage, row, effective, day)
        if row.capacity_type in {"on_demand", "spot"} and contracted is not None:
            effective = contracted
        rate = self._exchange.usd(row.currency, day)
        return Priced(
            PriceStatus.PRICED,
            row.currency,
            listed,
            contracted,
            effective,
            ZERO if row.upfront or row.capacity_type == "owned" else effective,
            None if rate is None else times(effective, rate),
            None,
            {"gpu_hour": row.price},
            row.source,
            f"{row.starts}/{self._cards.version}",
        )

    def _list_and_contracted(
        self, usage: GpuUsage, row: GpuRate, effective: Decimal, day: date
    ) -> tuple[Decimal | None, Decimal | None]:
        """What the same minutes cost on demand, and that after a negotiated discount. A spot price is its own list
        price; what is owned has neither, nor has a reservation without an on-demand price in its currency."""
        if row.capacity_type == "owned":
            return None, None
        listed: Decimal | None = effective
        if row.capacity_type == "reserved":
            public = self._row(row.provider, usage.accelerator, "on_demand", (usage.region or "").lower(), day)
            listed = _cost(usage, public) if public is not None and public.currency == row.currency else None
        factor = self._discount(row.provider, row.accelerator, usage.account or "", day)
        if listed is None or factor is None:
            return listed, listed
        return listed, times(listed, factor)

    def _unpriced(self, usage: GpuUsage, day: date) -> Priced:
        """At risk: the dearest price on the cards for this accelerator that day, else for any accelerator."""
        name = normalise(usage.accelerator)
        rows = [row for row in self._cards.gpu if row.holds(day)]
        same = [row for row in rows if row.accelerator == name]
        dollars = [
            times(_cost(usage, row), rate)
            for row in (same or rows)
            if (rate := self._exchange.usd(row.currency, day)) is not None
        ]
        which = f"at the dearest {name}" if same else "at the dearest accelerator on the cards"
        return Priced(
            PriceStatus.UNPRICED,
            estimated_cost=max(dollars, default=None),
            source=f"unpriced: no rate card row for {usage.capacity_type} {name}; estimated {which}",
            version=self._cards.version,
        )

    def _find_row(self, provider: str, accelerator: str, capacity_type: str, region: str, day: date) -> GpuRate | None:
        """The row of this region, else the one of any region; of your own files before the shipped, newest first."""
        provider, name = PROVIDERS.get(provider, provider), normalise(accelerator)
        rows = [
            row
            for row in self._cards.gpu
            if row.provider == provider and row.accelerator == name and row.capacity_type == capacity_type
            if row.holds(day) and row.region in {region, "*"}
        ]
        return next((row for row in rows if row.region == region), rows[0] if rows else None)

    def _find_discount(self, provider: str, accelerator: str, account: str, day: date) -> Decimal | None:
        return discount(self._cards, "gpu_usage", Buyer(provider, frozenset({accelerator}), account), day)


def _cost(usage: GpuUsage, row: GpuRate) -> Decimal:
    return times(EXACT.divide(row.price, _HOUR), usage.gpu_minutes)
