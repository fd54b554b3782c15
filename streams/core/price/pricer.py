"""The price of any usage event, by its own time."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal

from schemas.events import LineItem, TokenCall, UsageEvent
from schemas.records import PriceStatus
from streams.core.price.book import Book
from streams.core.price.cards import Cards, Exchange
from streams.core.price.gpus import GpuPricer
from streams.core.price.priced import Priced, times
from streams.core.price.schedule import Schedule
from streams.core.price.tokens import Terms, TokenPricer


class Pricer:
    """Gives an event its money. Pure: the same event gets the same price, whatever today is.

    Never raises for a valid event: what has no known price is UNPRICED, with its costs missing and the spend at risk
    estimated in `estimated_cost`; `source` then says why and how.
    """

    def __init__(self, book: Book, cards: Cards, exchange: Exchange) -> None:
        self._tokens = TokenPricer(book, cards)
        self._gpus = GpuPricer(cards, exchange)
        self._exchange = exchange

    def price(self, event: UsageEvent) -> Priced:
        data = event.data
        if isinstance(data, TokenCall):
            return self._tokens.price(data, event.time)
        if isinstance(data, LineItem):
            return self._billed(data)
        return self._gpus.price(data, event.time)

    def terms(self, call: TokenCall) -> Schedule[Terms]:
        """What calls like this one are priced by, over time."""
        return self._tokens.terms(call)

    def usd(self, currency: str, day: date) -> Decimal | None:
        """Dollars for one unit of a currency on a day; None where no rate is known."""
        return Decimal(1) if currency == "USD" else self._exchange.usd(currency, day)

    def _billed(self, item: LineItem) -> Priced:
        """The bill's own costs, untouched; dollars by the exchange rate of the day the charge began."""
        effective = item.EffectiveCost
        dollars: Decimal | None = effective
        if item.BillingCurrency != "USD":
            rate = self._exchange.usd(item.BillingCurrency, item.ChargePeriodStart.astimezone(UTC).date())
            dollars = None if rate is None else times(effective, rate)
        return Priced(
            PriceStatus.BILLED,
            item.BillingCurrency,
            item.ListCost,
            item.ContractedCost,
            effective,
            item.BilledCost,
            dollars,
            None,
            _unit_prices(item),
            "bill",
            "",
        )


def _unit_prices(item: LineItem) -> dict[str, Decimal]:
    named = {"list_unit_price": item.ListUnitPrice, "contracted_unit_price": item.ContractedUnitPrice}
    return {name: price for name, price in named.items() if price is not None}
