"""Token calls: their four costs, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from schemas.events import TokenCall
from schemas.records import PriceStatus
from streams.core.price.book import Book, Found, Model
from streams.core.price.cards import Cards
from streams.core.price.context import Context, price_context
from streams.core.price.estimate import REFERENCE_HOW, REFERENCE_RATES, Stand, stand_in
from streams.core.price.priced import EXACT, ZERO, Priced, money, times
from streams.core.price.rate import Rates
from streams.core.price.schedule import Schedule, change_days, change_hours
from streams.core.price.terms import Buyer, commitment, discount, provisioned_usd_per_token

MAX_MODELS = 20_000  # names are the producers': a flood of new ones must not fill the memory

Key = tuple[str, str, str | None, bool, str | None, Context]


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a call's money is made from, for one interval of time."""

    found: Found
    rates: Rates
    model: Model
    discount: Decimal | None = None
    covered: bool = False  # paid for in advance: nothing is billed by the call
    per_token: Decimal | None = None  # effective price where provisioned throughput serves the call
    stand: Stand | None = None  # what estimates are made from, where the rates are not known


class TokenPricer:
    """Prices token calls by the event's time."""

    def __init__(self, book: Book, cards: Cards) -> None:
        self._book = book
        self._cards = cards
        self._schedules: dict[Key, Schedule[Terms]] = {}

    def price(self, call: TokenCall, at: datetime) -> Priced:
        """The call's money. Unpriced, with an estimate, where any part of it has no known price."""
        terms = self.terms(call).at(at)
        if terms.stand is not None:
            return _unpriced(call, terms, terms.stand, terms.found.problem)
        cost = terms.rates.cost(call)
        if cost.missing or cost.amount is None:
            stand = stand_in(terms.model, terms.rates, at)
            missing = ", ".join(cost.missing)
            problem = f"no price for {missing}" if missing else "counts of parts are more than their whole"
            return _unpriced(call, terms, stand, problem)
        return self._priced(call, cost.amount, terms)

    def terms(self, call: TokenCall) -> Schedule[Terms]:
        """What calls like this one are priced by, over time."""
        context = tuple(sorted(call.price_context.items())) if call.price_context else ()
        key = (call.provider, call.model, call.service_tier, call.batch, call.account, context)
        schedule = self._schedules.get(key)
        return self._schedule(key, call) if schedule is None else schedule

    def _priced(self, call: TokenCall, listed: Decimal, terms: Terms) -> Priced:
        contracted = listed if terms.discount is None else times(listed, terms.discount)
        effective = contracted
        if terms.per_token is not None:
            effective = money(EXACT.multiply(terms.per_token, Decimal(call.input_tokens + call.output_tokens)))
        return Priced(
            PriceStatus.PRICED,
            "USD",
            listed,
            contracted,
            effective,
            ZERO if terms.covered else contracted,
            effective,
            None,
            terms.rates.level(call).prices,
            terms.found.source,
            terms.found.version,
        )

    def _schedule(self, key: Key, call: TokenCall) -> Schedule[Terms]:
        if len(self._schedules) >= MAX_MODELS:
            self._schedules.clear()
        model = self._book.model(call.provider, call.model)
        context = price_context(call)
        account, tier = call.account or "", call.service_tier or ""

        def make(at: datetime) -> Terms:
            return self._terms(model, context, account, tier, at)

        days = self._book.days | (change_days(model.info) if model.info else set())
        schedule = Schedule(make, days, change_hours(model.info) if model.info else ())
        self._schedules[key] = schedule
        return schedule

    def _terms(self, model: Model, context: Context, account: str, tier: str, at: datetime) -> Terms:
        day = at.astimezone(UTC).date()
        names = frozenset({model.name, model.info.id} if model.info else {model.name})
        buyer = Buyer(model.provider, names, account, tier)
        cover = commitment(self._cards, buyer, day)
        if cover is not None and cover.kind == "provisioned":
            # The capacity is the tier: what it would have cost as it goes is the standard price.
            context = tuple(pair for pair in context if pair[0] != "service_tier")
        found = self._book.find(model, context, at)
        return Terms(
            found=found,
            rates=found.rates or REFERENCE_RATES,  # never read where `stand` is there
            model=model,
            discount=discount(self._cards, "token_call", buyer, day),
            covered=cover is not None,
            per_token=provisioned_usd_per_token(cover) if cover is not None else None,
            stand=stand_in(model, found.rates, at) if found.problem or found.rates is None else None,
        )


def _unpriced(call: TokenCall, terms: Terms, stand: Stand, problem: str) -> Priced:
    """No cost, but what the tokens would come to at the rates that stand in."""
    known = call.model_copy(update={"counts": {}}) if call.counts else call
    amount, how = stand.rates.cost(known).amount, stand.how
    if not amount:  # what stands in prices none of the counts: better too much than unseen
        amount, how = REFERENCE_RATES.cost(known).amount, REFERENCE_HOW
    return Priced(
        PriceStatus.UNPRICED,
        estimated_cost=amount,
        source=f"unpriced: {problem}; estimated {how}",
        version=terms.found.version,
    )
