"""Which rates hold for a model, context and moment: genai-prices first, then our own dated rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider, StartDateConstraint, Tier, TieredPrices

from schemas.ratecards import TokenPrice
from streams.core.price.cards import Cards, matches
from streams.core.price.context import Context
from streams.core.price.priced import ZERO, money
from streams.core.price.rate import Rates

# Names that OpenTelemetry gives and genai-prices doesn't know.
PROVIDERS = {
    "azure.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
    "fireworks_ai": "fireworks",
}
GENAI = "genai-prices"


@dataclass(frozen=True, slots=True)
class Found:
    """Rates and where they are from. `problem` says what isn't known; `rates` are then the nearest that are."""

    rates: Rates | None
    source: str = ""
    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What the names of an event mean in genai-prices: either part may be unknown to it."""

    provider: str
    name: str
    seller: Provider | None
    info: ModelInfo | None

    @property
    def own(self) -> bool:
        """Whether the seller lists the model itself; contexts of a borrowed model are not the seller's."""
        return self.seller is not None and any(self.info is model for model in self.seller.models)


class Book:
    """Looks rates up. Pure: the same names, context and moment give the same rates, whatever today is."""

    def __init__(self, snapshot: DataSnapshot, cards: Cards, version: str) -> None:
        self._providers: Sequence[Provider] = snapshot.providers
        self._cards = cards
        self._version = version
        self.days = cards.days()

    def model(self, provider: str, name: str) -> Model:
        """The model of these names. Not cached here: producers choose names, so callers bound what they keep."""
        wanted = PROVIDERS.get(provider.lower(), provider)
        if wanted.lower() == "litellm" and "/" in name:
            wanted, _, name = name.partition("/")
        seller = find_provider_by_id(list(self._providers), wanted)
        info = seller.find_model(name, all_providers=list(self._providers)) if seller else None
        return Model(seller.id if seller else wanted.lower(), name, seller, info)

    def find(self, model: Model, context: Context, at: datetime) -> Found:
        """The rates for `context` at `at`."""
        day = at.astimezone(UTC).date()
        own = self._row(model, context, day, override=True)
        if own is not None:
            return self._from_row(own, model, context, at)
        if model.info is None:
            row = self._row(model, context, day)
            if row is not None and row.prices:
                return self._from_row(row, model, context, at)
            return Found(None, problem="unknown model" if model.seller else "unknown provider")
        known = _known(model, context, at)
        standard = model.info.get_prices(at, dict(known) or None)
        rest = tuple(pair for pair in context if pair not in known)
        if not rest:
            rates = Rates(_or_free(standard, model.info), model.info, model.seller)
            problem = "" if rates.levels[0].prices else "listed without a price"
            return Found(rates, GENAI, self._version, problem)
        row = self._row(model, rest, day)
        if row is None:
            problem = "no price for " + ", ".join(f"{key}={value}" for key, value in rest)
            return Found(Rates(standard, model.info, model.seller), GENAI, self._version, problem)
        return self._from_row(row, model, rest, at, standard)

    def _row(self, model: Model, context: Context, day: date, *, override: bool = False) -> TokenPrice | None:
        wanted = dict(context)
        for row in self._cards.token:
            if row.override is not override or row.provider != model.provider or row.when != wanted:
                continue
            names = {model.name, model.info.id} if model.info else {model.name}
            if row.holds(day) and any(matches(row.model, name) for name in names):
                if row.backdate and (model.info is None or _later(model.info, wanted) is None):
                    continue
                if not row.prices and model.info is None:
                    continue
                return row
        return None

    def _from_row(
        self, row: TokenPrice, model: Model, context: Context, at: datetime, standard: ModelPrice | None = None
    ) -> Found:
        if standard is None and model.info is not None:
            standard = model.info.get_prices(at)
        if row.prices:
            base = vars(standard) if standard is not None and row.when else {}
            price = ModelPrice(**{**base, **row.prices})
        elif standard is None or model.info is None:
            return Found(None, problem="unknown model")
        elif row.factor is not None:
            price = _scaled(standard, dict.fromkeys(row.keys, Fraction(row.factor)))
        else:
            price = _backdated(model.info, dict(context), standard)
        return Found(Rates(price, model.info, model.seller), row.source, f"{row.starts}/{self._cards.version}")


def _or_free(standard: ModelPrice, info: ModelInfo) -> ModelPrice:
    """`standard`, or zero for a model that its seller names free; any other model without prices is unpriced."""
    if info.id.endswith(":free") and not any(value is not None for value in vars(standard).values()):
        return ModelPrice(input_mtok=ZERO, output_mtok=ZERO)
    return standard


def _known(model: Model, context: Context, at: datetime) -> Context:
    """The pairs of `context` that genai-prices has a rate for at that moment; for others it would give the standard
    price without a word."""
    if not context or model.info is None or not model.own:
        return ()
    wanted = dict(context)
    known: set[tuple[str, str]] = set()
    for variant in model.info.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(at)
        if active and variant.when.items() <= wanted.items():
            known |= set(variant.when.items())
    return tuple(pair for pair in context if pair in known)


def _later(info: ModelInfo, wanted: Mapping[str, str]) -> tuple[date, PriceVariant] | None:
    """genai-prices' first dated row for exactly this context."""
    rows = [
        (variant.constraint.start_date, variant)
        for variant in info.price_variants or ()
        if variant.when == wanted and isinstance(variant.constraint, StartDateConstraint)
    ]
    return min(rows, key=lambda row: row[0]) if rows else None


def _backdated(info: ModelInfo, wanted: Mapping[str, str], standard: ModelPrice) -> ModelPrice:
    """The standard prices of the day, in the ratio of genai-prices' first row for the context to those of its day."""
    later = _later(info, wanted)
    assert later is not None  # noqa: S101  _row takes no backdate row without one
    start, variant = later
    then = info.get_prices(datetime(start.year, start.month, start.day, tzinfo=UTC))
    ratios: dict[str, Fraction] = {}
    for key, price in vars(variant.prices).items():
        before = vars(then).get(key)
        if price is not None and before is not None and base_price(before):
            ratios[key] = Fraction(base_price(price)) / Fraction(base_price(before))
    return _scaled(standard, ratios)


def base_price(price: Decimal | TieredPrices) -> Decimal:
    """The price before any long-context step."""
    return price.base if isinstance(price, TieredPrices) else price


def _scaled(standard: ModelPrice, factors: Mapping[str, Fraction]) -> ModelPrice:
    """`standard` with each key's price, tiers included, times its factor."""
    prices: dict[str, Decimal | TieredPrices | None] = dict(vars(standard))
    for key, factor in factors.items():
        price = prices.get(key)
        if isinstance(price, TieredPrices):
            tiers = [Tier(start=tier.start, price=_by(tier.price, factor)) for tier in price.tiers]
            prices[key] = TieredPrices(base=_by(price.base, factor), tiers=tiers)
        elif price is not None:
            prices[key] = _by(price, factor)
    return ModelPrice(**prices)


def _by(price: Decimal, factor: Fraction) -> Decimal:
    product = Fraction(price) * factor
    return money(Decimal(product.numerator) / Decimal(product.denominator)).normalize()
