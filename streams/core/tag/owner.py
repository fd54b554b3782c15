"""Owners, and the exact splitting of an amount among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from streams.core.price.priced import EXACT, PLACES

UNALLOCATED = "unallocated"
BY_TAGS = "tags"
BY_DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose spend it is. `allocation` is the rule that decided, `unallocated` when none did."""

    team: str = ""
    project: str = ""
    environment: str = ""
    feature: str = ""
    cost_center: str = ""
    principal: str = ""
    allocation: str = UNALLOCATED


OWNED = tuple(field.name for field in fields(Owner))
"""What a charge says of its owner, by the fields of both."""


class Share(NamedTuple):
    """An owner's part of an event, above 0; the parts of an event sum to 1."""

    owner: Owner
    fraction: Fraction


def split(amount: Decimal, shares: Sequence[Share]) -> list[Decimal]:
    """`amount` by `shares`, in their order: to 18 decimals (or its own, if it has more), summing to exactly it.

    What rounding leaves over goes, one last digit each, to the parts that lost most by it; the first wins a tie.
    """
    exponent = amount.as_tuple().exponent
    places = max(PLACES, -int(exponent))
    whole = int(EXACT.scaleb(amount, places))
    exact = [whole * share.fraction for share in shares]
    parts = [int(part) if part >= 0 else -int(-part) for part in exact]
    step = 1 if whole >= 0 else -1
    left = abs(whole - sum(parts))
    by_loss = sorted(range(len(parts)), key=lambda i: -abs(exact[i] - parts[i]))
    for index in by_loss[:left]:
        parts[index] += step
    return [EXACT.scaleb(Decimal(part), -places) for part in parts]
