"""Conservation: what is split sums to the whole, to the last digit, currency by currency and tag by tag."""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import Rule, RulesFile, Split
from streams.core.tag import Owner, Share, Tagger, split
from tests.support.pricing import line, shipped

WIDE = Context(prec=100)
amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=14) | (
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)
)
weights = st.lists(st.integers(1, 10**6), min_size=1, max_size=12)


def shares_of(parts: list[int]) -> list[Share]:
    return [Share(Owner(team=str(i)), Fraction(part, sum(parts))) for i, part in enumerate(parts)]


def total(values: list[Decimal]) -> Decimal:
    result = Decimal(0)
    for value in values:
        result = WIDE.add(result, value)
    return result


@given(amounts, weights)
def test_parts_sum_to_the_whole(amount: Decimal, parts: list[int]) -> None:
    assert total(split(amount, shares_of(parts))) == amount


@given(amounts, weights)
def test_a_part_is_within_a_digit_of_its_share(amount: Decimal, parts: list[int]) -> None:
    for share, part in zip(shares_of(parts), split(amount, shares_of(parts)), strict=True):
        assert abs(Fraction(part) - Fraction(amount) * share.fraction) < Fraction(1, 10**18)
        assert part == 0 or (part > 0) == (amount > 0)


def test_rounding_goes_to_whom_it_costs_most() -> None:
    assert split(Decimal("1e-18"), shares_of([1, 1, 1])) == [Decimal("1e-18"), 0, 0]
    assert split(Decimal(-100), shares_of([1, 1, 1])) == [
        Decimal("-33.333333333333333334"), Decimal("-33.333333333333333333"), Decimal("-33.333333333333333333"),
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(amounts, st.sampled_from(["USD", "EUR"]), st.sampled_from(["", "search", "shared"])),
        min_size=1, max_size=20,
    ),
    weights,
)  # fmt: skip
def test_dollars_in_are_dollars_out_by_currency_and_tag(bill: list[tuple[Decimal, str, str]], parts: list[int]) -> None:
    rules = RulesFile(
        rule=(Rule(name="platform", match={"tags.team": ("shared",)}, override=True, split="all"),),
        split=(Split(name="all", measured={f"team-{i}": Decimal(part) for i, part in enumerate(parts)}),),
    )
    tagger = Tagger(rules)
    read: Counter[tuple[str, str]] = Counter()
    charged: Counter[tuple[str, str]] = Counter()
    owned: Counter[str] = Counter()
    for amount, currency, team in bill:
        event = line(EffectiveCost=str(amount), BillingCurrency=currency, Tags={"team": team})
        priced = shipped().price(event)
        assert priced.effective_cost is not None
        shares = tagger.tag(event)
        read[currency, team] += Fraction(amount)  # type: ignore[assignment]
        for share, part in zip(shares, split(priced.effective_cost, shares), strict=True):
            charged[priced.currency, team] += Fraction(part)  # type: ignore[assignment]
            owned[share.owner.team] += Fraction(part)  # type: ignore[assignment]
    assert charged == read
    assert sum(owned.values()) == sum(read.values())
