"""The price stage's decision over the whole corpus: every event becomes charges or a dead letter, never both."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from schemas.events import TokenCall, UsageEvent
from schemas.records import Charge, Position, PriceStatus, Reason
from streams import build
from streams.core.price import Priced
from streams.core.price.schedule import Schedule
from streams.core.price.tokens import Terms
from streams.core.usage.charge import Charged, Charger
from streams.io.rules import load_tagger
from streams.settings import load
from tests.support.examples import Example, invalid, valid


@pytest.fixture(scope="module")
def charger() -> Charger:
    return build.charger(load())


def one(charger: Charger, name: str) -> Charge:
    example = next(e for e in valid() if e.name == name)
    (charge,) = charger.charge(example.record()).charges
    return charge


@pytest.mark.parametrize("example", valid(), ids=lambda e: e.name)
def test_valid_examples_are_charged(charger: Charger, example: Example) -> None:
    charged = charger.charge(example.record(offset=3))
    assert charged.events
    assert not charged.dead_letters
    batch = charged.batch([Position("usage.token-calls", 0, 3)])
    assert (batch.topic, batch.partition, batch.first, batch.last) == ("usage.token-calls", 0, 3, 3)
    assert set(batch.block.records.tolist()) == {3}


@pytest.mark.parametrize("example", valid(), ids=lambda e: e.name)
def test_charges_keep_their_contract(charger: Charger, example: Example) -> None:
    for charge in charger.charge(example.record()).charges:
        assert Charge.model_validate_json(charge.model_dump_json()) == charge


@pytest.mark.parametrize("example", invalid(), ids=lambda e: e.name)
def test_invalid_examples_cost_their_neighbours_nothing(charger: Charger, example: Example) -> None:
    charged = charger.charge(example.record())
    assert [letter.reason for letter in charged.dead_letters] == [example.reason]
    assert charged.events == (2 if "in-an-array" in example.name else 0)


def test_a_token_call_by_hand(charger: Charger) -> None:
    charge = one(charger, "token-call")
    # gpt-4o: 800 uncached input at 2.50, 400 cached at 1.25, 300 output at 10.00 USD per million tokens
    by_hand = (Decimal(800) * Decimal("2.50") + Decimal(400) * Decimal("1.25") + Decimal(300) * 10) / 1_000_000
    assert charge.effective_cost_usd == by_hand == Decimal("0.0055")
    assert (charge.team, charge.feature, charge.principal) == ("search", "answers", "key-1001")


def test_an_unknown_model_is_unpriced_and_never_zero(charger: Charger) -> None:
    charge = one(charger, "token-call--unknown-model")
    assert charge.price_status is PriceStatus.UNPRICED
    assert charge.effective_cost is charge.list_cost is charge.effective_cost_usd is None
    assert charge.estimated_cost is not None
    assert charge.estimated_cost > 0


def test_an_owner_that_nobody_names_is_unallocated(charger: Charger) -> None:
    charge = one(charger, "token-call--no-tags")
    assert (charge.team, charge.allocation) == ("", "unallocated")


def test_a_line_item_has_its_own_costs(charger: Charger) -> None:
    charge = one(charger, "line-item")
    costs = (charge.list_cost, charge.contracted_cost, charge.effective_cost, charge.billed_cost)
    assert costs == (Decimal("1.50"), Decimal("1.25"), Decimal("1.00"), Decimal("1.25"))


def test_a_correction_may_be_negative(charger: Charger) -> None:
    charge = one(charger, "line-item--correction")
    assert charge.effective_cost == Decimal("-0.25")
    assert charge.list_cost is None


def test_another_currency_is_not_mixed_in_silently(charger: Charger) -> None:
    charge = one(charger, "line-item--other-currency")
    assert (charge.currency, charge.effective_cost_usd) == ("EUR", None)


class Broken:
    """Prices nothing."""

    def price(self, event: UsageEvent) -> Priced:  # noqa: ARG002
        raise ZeroDivisionError("secret detail")

    def terms(self, call: TokenCall) -> Schedule[Terms]:  # noqa: ARG002
        raise ZeroDivisionError("secret detail")

    def usd(self, currency: str, day: date) -> Decimal | None:  # noqa: ARG002
        raise ZeroDivisionError("secret detail")


def test_a_fault_of_ours_is_a_dead_letter_and_not_the_end() -> None:
    broken = Charger(Broken(), load_tagger(None, None), build.charger(load())._bounds)
    example = next(e for e in valid() if e.name == "token-call")
    charged: Charged = broken.charge(example.record())
    (letter,) = charged.dead_letters
    assert (letter.reason, letter.problem) == (Reason.INTERNAL_ERROR, "ZeroDivisionError")
    assert letter.event_id == "tok-1"


def test_each_event_of_an_array_has_a_dead_letter_of_its_own() -> None:
    """Of three faults of ours in one record all three must be told apart, or two of them would be lost from the sum."""
    broken = Charger(Broken(), load_tagger(None, None), build.charger(load())._bounds)
    example = next(e for e in valid() if e.name == "array-of-events")
    letters = broken.charge(example.record()).dead_letters
    assert [letter.index for letter in letters] == [0, 1, 2]
    assert len({letter.dead_letter_id for letter in letters}) == 3
