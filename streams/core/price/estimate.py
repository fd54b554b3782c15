"""What unpriced spend may come to, so that it is neither zero nor unseen."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from genai_prices.types import ModelPrice

from schemas.events import TokenCall
from streams.core.price.book import Model
from streams.core.price.priced import ZERO
from streams.core.price.rate import Rates

# What a large model is sold at in 2026: better too much than unseen, for a provider that nothing is known of.
REFERENCE = ModelPrice(input_mtok=Decimal(5), output_mtok=Decimal(25))


def estimate(call: TokenCall, model: Model, nearest: Rates | None, at: datetime) -> tuple[Decimal, str]:
    """USD and how it was come by: the model's standard price where only the tier is unknown, else the
    median of the seller's models with the nearest name, else a reference price."""
    plain = call.model_copy(update={"counts": {}, "price_context": {}})
    if nearest is not None:
        amount = nearest.cost(plain).amount or ZERO
        if amount:
            return amount, "at the model's standard price"
    family = [(name, rates.cost(plain)) for name, rates in _family(model, at)]
    costs = sorted((cost.amount, name) for name, cost in family if cost.amount and not cost.missing)
    if costs:
        middle, name = costs[len(costs) // 2]
        return middle, f"as {name}, the median of {len(costs)} with the nearest name"
    return Rates(REFERENCE).cost(plain).amount or ZERO, "at 5 USD in, 25 USD out per million tokens"


def _family(model: Model, at: datetime) -> list[tuple[str, Rates]]:
    """The seller's models whose names share the longest beginning with this one, one whole word at least."""
    if model.seller is None:
        return []
    name = model.name.lower()
    shared = {m.id: _shared(m.id.lower(), name) for m in model.seller.models}
    longest = max(shared.values(), default=0)
    word = re.match(r"[a-z0-9]*[a-z]+", name)
    if word is None or longest < len(word.group()):
        return []
    return [
        (m.id, Rates(m.get_prices(at), m, model.seller)) for m in model.seller.models if shared[m.id] == longest
    ]


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
