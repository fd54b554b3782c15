"""A price book's rates as one linear formula of the counts that an event reports.

genai-prices splits counts into leaves (input that is neither cached nor audio, ...) and prices each leaf. That split is
linear, so for a given set of reported counts it is the same as one coefficient for each: `cost = sum(c[k] * count[k])`.
Coefficients are whole numbers of 10**-scale dollars, so the sum is exact whatever its size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache

from genai_prices.data_units import unit_data

from streams.core.price.priced import EXACT, PLACES

_UNIT = Decimal(1).scaleb(-PLACES)
Rates = Mapping[str, Decimal]  # by unit, per `per` of them
Form = dict[str, int]


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that is counted and priced: `per` of them cost the price under `price_key`."""

    name: str
    price_key: str
    per: int
    dimensions: frozenset[tuple[str, str]]

    def within(self, other: Unit) -> bool:
        """Whether each of these is also one of `other`: cached input tokens are input tokens."""
        return other.dimensions <= self.dimensions

    def meets(self, other: Unit) -> bool:
        """Whether something can be both: cached and audio, but not audio and text."""
        mine, theirs = dict(self.dimensions), dict(other.dimensions)
        return all(theirs.get(key, value) == value for key, value in mine.items())


UNITS: dict[str, Unit] = {
    name: Unit(name, raw.get("price_key", name), raw["per"], frozenset(raw.get("dimensions", {}).items()))
    for name, raw in unit_data.items()
}
BY_PRICE_KEY: dict[str, Unit] = {unit.price_key: unit for unit in UNITS.values()}


@dataclass(frozen=True, slots=True)
class Formula:
    """`coefficients` per key; `guards` are leaves that must not be negative; `uncovered` are keys without any price."""

    keys: tuple[str, ...]
    coefficients: tuple[int, ...]
    scale: int
    guards: tuple[tuple[int, ...], ...]
    uncovered: tuple[str, ...]

    def cost(self, counts: Sequence[int]) -> Decimal | None:
        """The cost as money; None when a part is larger than its whole."""
        for guard in self.guards:
            if sum(a * n for a, n in zip(guard, counts, strict=True)) < 0:
                return None
        return to_money(sum(c * n for c, n in zip(self.coefficients, counts, strict=True)), self.scale)


def to_money(amount: int, scale: int) -> Decimal:
    """`amount` units of 10**-scale dollars as money of 18 decimals, half to even."""
    if scale > PLACES:
        step = 10 ** (scale - PLACES)
        amount, rest = divmod(amount, step)
        if rest * 2 > step or (rest * 2 == step and amount & 1):
            amount += 1
    return EXACT.multiply(Decimal(amount), _UNIT)


def compile_formula(rates: Rates, keys: tuple[str, ...]) -> Formula | None:
    """The formula for events that report `keys`. None when the split isn't linear: a count that another one implies
    is missing, or a rate has no finite decimal form (an hourly price by the second)."""
    priced = [UNITS[name] for name in rates if name != "requests"]
    leaves = _leaves(priced, keys)
    if leaves is None:
        return None
    total: dict[str, Fraction] = dict.fromkeys(keys, Fraction(0))
    if "requests" in rates and "requests" in keys:
        total["requests"] = Fraction(rates["requests"]) / UNITS["requests"].per
    for unit in priced:
        rate = Fraction(rates[unit.name]) / unit.per
        for key, factor in leaves[unit.name].items():
            total[key] += rate * factor
    scale = _scale(total.values())
    if scale is None:
        return None
    return Formula(
        keys=keys,
        coefficients=tuple(int(total[key] * 10**scale) for key in keys),
        scale=scale,
        guards=tuple(_guards(leaves.values(), keys)),
        uncovered=tuple(key for key in keys if key != "requests" and not _covered(UNITS[key], priced)),
    )


def _covered(unit: Unit, priced: Iterable[Unit]) -> bool:
    return any(unit.within(other) for other in priced)


def _leaves(priced: Sequence[Unit], keys: tuple[str, ...]) -> dict[str, Form] | None:
    """Each priced unit's own part, as a linear form of the reported counts."""
    reported = [UNITS[key] for key in keys if key != "requests"]
    leaves: dict[str, Form] = {}
    for unit in sorted(priced, key=lambda u: (-len(u.dimensions), u.name)):
        form: Counter[str] = Counter()
        if unit.name in keys:
            form[unit.name] = 1
        elif any(other.within(unit) for other in reported) or _joined(unit, reported):
            return None
        for other in priced:
            if other is not unit and other.within(unit):
                form.subtract(leaves[other.name])
        leaves[unit.name] = dict(form)
    return leaves


def _joined(unit: Unit, reported: Sequence[Unit]) -> bool:
    """Whether two reported counts together imply this one: cached and audio tokens, but not how many are both."""
    return any(
        a.meets(b) and not a.within(b) and not b.within(a) and unit.dimensions == a.dimensions | b.dimensions
        for i, a in enumerate(reported)
        for b in reported[i + 1 :]
    )


def _guards(forms: Iterable[Form], keys: tuple[str, ...]) -> Iterable[tuple[int, ...]]:
    for form in forms:
        if any(factor < 0 for factor in form.values()):
            yield tuple(form.get(key, 0) for key in keys)


def _scale(values: Iterable[Fraction]) -> int | None:
    """How many decimals hold every value exactly, 12 at least; None when no number of decimals does."""
    scale = PLACES
    for value in values:
        twos, fives, rest = _twos_and_fives(value.denominator)
        if rest != 1:
            return None
        scale = max(scale, twos, fives)
    return scale


@cache
def _twos_and_fives(number: int) -> tuple[int, int, int]:
    counts = []
    for prime in (2, 5):
        power = 0
        while number % prime == 0:
            number //= prime
            power += 1
        counts.append(power)
    return counts[0], counts[1], number
