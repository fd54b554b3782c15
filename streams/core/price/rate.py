"""What a token call costs under one set of rates: the hot path of pricing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices, Usage

from schemas.events import TokenCall
from streams.core.price.formula import BY_PRICE_KEY, UNITS, Formula, compile_formula, to_money
from streams.core.price.priced import money

# Our field -> genai-prices' unit, in the order of a formula's coefficients.
FIELDS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation_1h_input_tokens": "cache_write_1h_tokens",
    "reasoning_output_tokens": "output_reasoning_tokens",
}
BASE_KEYS = (*FIELDS.values(), "requests")
MAX_SHAPES = 256  # distinct sets of reported counts; bounded, for producers choose them


@dataclass(slots=True)
class Level:
    """The prices that hold for one size of input: flat ones, or one step of a long-context tier."""

    prices: dict[str, Decimal]
    base: Formula | None = None
    input_coefficient: int = 0
    output_coefficient: int = 0
    has_input: bool = False
    has_output: bool = False
    shapes: dict[tuple[str, ...], Formula | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rates = self.rates
        self.base = compile_formula(rates, BASE_KEYS)
        if self.base is not None:
            self.input_coefficient, self.output_coefficient = self.base.coefficients[:2]
            self.has_input = "input_tokens" not in self.base.uncovered
            self.has_output = "output_tokens" not in self.base.uncovered

    @property
    def rates(self) -> dict[str, Decimal]:
        return {BY_PRICE_KEY[key].name: price for key, price in self.prices.items()}

    def formula(self, keys: tuple[str, ...]) -> Formula | None:
        """The formula for these reported counts, compiled once."""
        try:
            return self.shapes[keys]
        except KeyError:
            if len(self.shapes) >= MAX_SHAPES:
                self.shapes.clear()
            formula = self.shapes[keys] = compile_formula(self.rates, keys)
            return formula


class Cost(NamedTuple):
    """A list cost; `missing` are reported counts that these rates have no price for, so the cost is not the whole."""

    amount: Decimal | None
    missing: tuple[str, ...] = ()


class Rates:
    """A model's prices at one moment. `price` gives exactly what `genai_prices` does, to 18 decimals.

    A long-context tier is decided by the input of one call; for a bucket of calls by their mean, as no more is known.
    """

    __slots__ = ("levels", "model", "price", "provider", "thresholds")

    def __init__(self, price: ModelPrice, model: ModelInfo | None = None, provider: Provider | None = None) -> None:
        self.price = price
        self.model = model
        self.provider = provider
        given = {key: value for key, value in vars(price).items() if value is not None}
        starts = {tier.start for value in given.values() if isinstance(value, TieredPrices) for tier in value.tiers}
        self.thresholds = sorted(starts)
        self.levels = [Level(_at_level(given, start)) for start in (-1, *self.thresholds)]

    def level(self, call: TokenCall) -> Level:
        if not self.thresholds:
            return self.levels[0]
        per_call = -(-call.input_tokens // call.requests)
        return self.levels[bisect_left(self.thresholds, per_call)]

    def cost(self, call: TokenCall) -> Cost:
        """The list cost of the call."""
        level = self.level(call)
        base = level.base
        if call.counts or base is None:
            return self._shaped(call, level)
        amount = level.input_coefficient * call.input_tokens + level.output_coefficient * call.output_tokens
        _, _, read, write, write_1h, reasoning, fee = base.coefficients
        if read:
            amount += read * call.cache_read_input_tokens
        if write:
            amount += write * call.cache_creation_input_tokens
        if write_1h:
            amount += write_1h * call.cache_creation_1h_input_tokens
        if reasoning:
            amount += reasoning * call.reasoning_output_tokens
        if fee:
            amount += fee * call.requests
        if (call.input_tokens and not level.has_input) or (call.output_tokens and not level.has_output):
            missing = tuple(key for key in ("input_tokens", "output_tokens") if key in base.uncovered)
            return Cost(to_money(amount, base.scale), missing)
        return Cost(to_money(amount, base.scale))

    def _shaped(self, call: TokenCall, level: Level) -> Cost:
        """Calls that report more than the usual counts."""
        counts = reported(call)
        unknown = tuple(key for key in counts if key not in UNITS or key == "requests")
        if unknown:
            return Cost(None, unknown)
        keys = (*counts, "requests")
        formula = level.formula(keys)
        whole = [int(count) for count in counts.values()]
        if formula is None or any(n != count for n, count in zip(whole, counts.values(), strict=True)):
            return self._by_library(call, level, counts)
        missing = tuple(key for key in formula.uncovered if counts[key])
        return Cost(formula.cost((*whole, call.requests)), missing)

    def _by_library(self, call: TokenCall, level: Level, counts: Mapping[str, Decimal | int]) -> Cost:
        """genai-prices' own arithmetic, for what isn't a finite sum: hourly prices, fractions, minimum durations."""
        flat = ModelPrice(**level.prices)
        usage = Usage(**counts)
        try:
            if self.model is not None and self.provider is not None:
                model = ModelInfo(id=self.model.id, match=self.model.match, prices=flat)
                amount = model.calc_price(usage, self.provider).total_price
            else:
                amount = flat.calc_price(usage)["total_price"]
        except ValueError:
            return Cost(None, tuple(counts))
        fee = level.prices.get("requests_kcount", Decimal(0)) * (call.requests - 1) / 1000
        priced = [UNITS[name] for name in level.rates]
        missing = (key for key, n in counts.items() if n and not any(UNITS[key].within(unit) for unit in priced))
        return Cost(money(amount + fee), tuple(missing))


def reported(call: TokenCall) -> dict[str, Decimal | int]:
    """The call's counts by genai-prices' unit: input and output always, the rest where there is something."""
    counts: dict[str, Decimal | int] = {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens}
    counts |= {name: count for name, count in sorted(call.counts.items()) if count}
    for name, unit in FIELDS.items():
        if count := getattr(call, name):
            counts[unit] = count
    return counts


def _at_level(given: Mapping[str, Decimal | TieredPrices], start: int) -> dict[str, Decimal]:
    """Flat prices for input above `start`: of a tiered price the highest step that begins there or below."""
    flat: dict[str, Decimal] = {}
    for key, value in given.items():
        if key not in BY_PRICE_KEY:
            continue
        if isinstance(value, TieredPrices):
            steps = [tier.price for tier in value.tiers if tier.start <= start]
            flat[key] = steps[-1] if steps else value.base
        else:
            flat[key] = value
    return flat


def price_faults(prices: Mapping[str, Decimal]) -> list[tuple[str, str]]:
    """What is wrong with prices that somebody wrote, as (key, problem)."""
    unknown = [(key, "is no price key of genai-prices") for key in prices if key not in BY_PRICE_KEY]
    if unknown or not prices:
        return unknown
    try:
        ModelPrice(**prices).calc_price(Usage(input_tokens=1, output_tokens=1))
    except ValueError as error:
        return [(next(iter(prices)), str(error))]
    return []
