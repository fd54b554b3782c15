"""A bill loaded again: which of its rows are new, and which no longer stand and are taken back.

A row is known by its content (see `replay.readers`), so a changed row is one that went and one that came. What went is
taken back by a correction: an event of the same time with every amount turned round and ChargeClass Correction. A row
may go and come again, so its events are numbered: `row` came, `row~1` takes it back, `row~2` came again. The numbers
are the same for whoever computes them, so that a restatement that is sent twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.base import plain_decimal
from schemas.events import LINE_ITEM, LineItem, UsageEvent
from schemas.records import Charge
from streams.core.corrections.reprice import Standing, rebuild
from streams.core.tag import OWNED
from streams.core.usage.charge import COSTS, Charger

MARK = "~"
AMOUNTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity")
Event = Mapping[str, Any]
"""A CloudEvent of a line item, as a reader gives it."""


class Family(NamedTuple):
    """The last event of a row: its number, and how it is charged. It stands where the number is even."""

    number: int
    standing: Standing


@dataclass(slots=True)
class Restated:
    """What a restatement comes to. `change` is of billed costs by currency; `otherwise` counts rows that today's rules
    and rates charge otherwise than they stand, so that a correction would not take back what is there."""

    unchanged: int = 0
    added: int = 0
    taken_back: int = 0
    otherwise: int = 0
    change: dict[str, Decimal] = field(default_factory=dict)

    def count(self, currency: str, billed: Decimal) -> None:
        """Note what an event changes."""
        self.change[currency] = self.change.get(currency, Decimal(0)) + billed


def restate(rows: Iterable[Event], standing: Iterable[Standing], charger: Charger, done: Restated) -> Iterator[Event]:
    """The events that lead from what stands to `rows`; both are of the same bill and stretch of time.

    Corrections come first, then what is new. Nothing where the rows are those that stand.
    """
    families = _families(standing)
    wanted = {str(row["id"]): row for row in rows}
    for name, family in families.items():
        if name not in wanted and family.number % 2 == 0:
            back = take_back(family.standing, _numbered(name, family.number + 1))
            done.taken_back += 1
            done.otherwise += not _is_reverse(family.standing.charges, charger.charge_event(back, None))
            done.count(back.data.BillingCurrency, back.data.BilledCost)  # type: ignore[union-attr]
            yield _written(back)
    for name, row in wanted.items():
        known = families.get(name)
        if known is not None and known.number % 2 == 0:
            done.unchanged += 1
            continue
        done.added += 1
        done.count(str(row["data"].get("BillingCurrency")), _amount(row["data"].get("BilledCost")))
        yield {**row, "id": _numbered(name, known.number + 1 if known is not None else 0)}


def take_back(standing: Standing, name: str) -> UsageEvent:
    """The line item that takes back one that stands, under an id of its own."""
    event = rebuild(standing.charges)
    assert isinstance(event.data, LineItem)  # noqa: S101  a bill's source has no other events
    turned = {amount: -value for amount in AMOUNTS if (value := getattr(event.data, amount, None)) is not None}
    data = event.data.model_copy(update={**turned, "ChargeClass": "Correction"})
    return event.model_copy(update={"id": name, "data": data})


def _families(standing: Iterable[Standing]) -> dict[str, Family]:
    """The last event of each row, by the row's id."""
    families: dict[str, Family] = {}
    for one in standing:
        name, _, number = one.charges[0].id.partition(MARK)
        family = Family(int(number or 0), one)
        if name not in families or families[name].number < family.number:
            families[name] = family
    return families


def _numbered(name: str, number: int) -> str:
    return f"{name}{MARK}{number}" if number else name


def _amount(value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except ArithmeticError:  # a dead letter to be: it changes nothing
        return Decimal(0)


def _is_reverse(before: Iterable[Charge], after: Iterable[Charge]) -> bool:
    """Whether the charges after cancel those before: the same owners, every cost turned round."""
    return [_costs(charge, -1) for charge in before] == [_costs(charge, 1) for charge in after]


def _costs(charge: Charge, sign: int) -> tuple[object, ...]:
    costs = (None if (cost := getattr(charge, name)) is None else sign * cost for name in COSTS)
    return (charge.currency, *(getattr(charge, name) for name in OWNED), *costs)


def _written(event: UsageEvent) -> Event:
    data = event.data.model_dump(mode="json", exclude_none=True)
    for name, value in vars(event.data).items():
        if isinstance(value, Decimal):
            data[name] = plain_decimal(value)
    return {
        "specversion": "1.0", "id": event.id, "source": event.source, "type": LINE_ITEM,
        "time": event.time.isoformat(), "data": data,
    }  # fmt: skip
