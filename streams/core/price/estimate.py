"""What unpriced spend may come to, so that it is neither zero nor unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from genai_prices.types import ModelInfo, ModelPrice

from streams.core.price.book import Model, base_price
from streams.core.price.rate import Rates

# What a large model is sold at in 2026: better too much than unseen, for a provider that nothing is known of.
REFERENCE = ModelPrice(input_mtok=Decimal(5), output_mtok=Decimal(25))
REFERENCE_HOW = "at 5 USD in, 25 USD out per million tokens"
REFERENCE_RATES = Rates(REFERENCE)


class Stand(NamedTuple):
    """Rates that stand in for unknown ones, and how they were come by."""

    rates: Rates
    how: str


def stand_in(model: Model, nearest: Rates | None, at: datetime) -> Stand:
    """The model's own standard rates where only the context is unknown; else those of the median, by price, of the
    seller's models with the nearest name; else a reference price. Deterministic."""
    if nearest is not None and {"input_mtok", "output_mtok"} & nearest.levels[0].prices.keys():
        return Stand(nearest, "at the model's standard price")
    family = sorted(_family(model, at), key=lambda row: (row[0], row[2].id))
    if family:
        _, price, info = family[len(family) // 2]
        how = f"as {info.id}, the median of {len(family)} with the nearest name"
        return Stand(Rates(price, info, model.seller), how)
    return Stand(REFERENCE_RATES, REFERENCE_HOW)


def _family(model: Model, at: datetime) -> Iterator[tuple[Decimal, ModelPrice, ModelInfo]]:
    """The seller's text models whose names share the longest beginning with this one, one whole word at least; each
    with what three tokens in and one out cost."""
    name = model.name.lower()
    word = re.match(r"[a-z0-9]*[a-z]+", name)
    if model.seller is None or word is None:
        return
    shared = {info.id: _shared(info.id.lower(), name) for info in model.seller.models}
    longest = max(shared.values(), default=0)
    if longest < len(word.group()):
        return
    for info in model.seller.models:
        if shared[info.id] == longest:
            price = info.get_prices(at)
            given, taken = vars(price).get("input_mtok"), vars(price).get("output_mtok")
            if given is not None and taken is not None:
                yield 3 * base_price(given) + base_price(taken), price, info


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
