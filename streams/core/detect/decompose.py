"""Price, volume and mix: why an unusual stretch cost what it did.

The known decomposition of finance, on the cells of a series. Usual cells are scaled to what was expected of the
stretch; then, one after the other: the change in requests at the usual cost of one (volume), the change of shares
between cells (mix), the change of tokens per request at usual prices (tokens per request), and the change of prices
(unit price). Input that used to come from the cache and no longer does is a dearer price, not a longer prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from schemas.watch import Decomposition
from streams.core.detect.parts import NOTHING, Part, Parts
from streams.core.windows.sums import SeriesKey

MICRO = Decimal("0.000001")
NAMES = ("volume", "tokens_per_request", "unit_price", "mix")
SOURCES = ("principal", "cluster")  # a new one of these is more volume, whatever model it uses


@dataclass(frozen=True, slots=True)
class _Each:
    """One request of a cell: its tokens by class, and the price of each class."""

    fresh: float
    cached: float
    output: float
    fresh_price: float
    cached_price: float
    output_price: float

    @property
    def cost(self) -> float:
        return self.fresh * self.fresh_price + self.cached * self.cached_price + self.output * self.output_price


def decompose(
    actual: Parts, usual: Parts, expected_usd: float, excess: Decimal, only: tuple[str, ...] = NAMES
) -> Decomposition:
    """Split `excess` into the four, which sum to it exactly. `expected_usd` is of the whole stretch; `only` names the
    parts that are in question (a finding about prices takes the volume as given)."""
    raw = _raw(actual, usual, expected_usd)
    kept = [raw[name] if name in only else 0.0 for name in NAMES]
    total = sum(kept)
    if not total or (total > 0) != (excess > 0):
        kept = [1.0 if name == only[0] else 0.0 for name in NAMES]
        total = 1.0
    amounts = [(excess * Decimal(part / total)).quantize(MICRO) for part in kept]
    largest = max(range(4), key=lambda n: (abs(amounts[n]), -n))
    amounts[largest] += excess - sum(amounts)
    return Decomposition(**dict(zip(NAMES, amounts, strict=True)))


def cause_of(decomposition: Decomposition, excess: Decimal) -> str:
    """The name of the part that carries most of the excess, in its direction."""
    sign = 1 if excess >= 0 else -1
    return max(NAMES, key=lambda name: (sign * getattr(decomposition, name), -NAMES.index(name)))


def _raw(actual: Parts, usual: Parts, expected_usd: float) -> dict[str, float]:
    base = sum(part.usd for part in usual.values())
    volume0 = sum(part.volume for part in usual.values())
    paid = sum(part.usd for part in actual.values())
    if base <= 0 or volume0 <= 0:
        return {"volume": paid - expected_usd, "tokens_per_request": 0.0, "unit_price": 0.0, "mix": 0.0}
    scale = expected_usd / base
    known = {value for key in usual for name, value in key if name in SOURCES}
    out = dict.fromkeys(NAMES, 0.0)
    typical = base / volume0  # usual cost of a request
    volume = 0.0
    for key, part in actual.items():
        if _stranger(key, known) or part.volume <= 0:
            out["volume"] += part.usd
            continue
        volume += part.volume
        _cell(part, usual.get(key, NOTHING), usual, typical, out)
    out["volume"] += (volume - scale * volume0) * typical
    return out


def _stranger(key: SeriesKey, known: set[str]) -> bool:
    named = [value for name, value in key if name in SOURCES]
    return bool(named) and not any(value in known for value in named)


def _cell(part: Part, before: Part, usual: Parts, typical: float, out: dict[str, float]) -> None:
    now = _each(part, part)
    if before.volume > 0 and before.usd > 0:
        was = _each(before, part)
        usual_cost = before.usd / before.volume
    else:
        was = replace(_each(_whole(usual), part), **_prices(now))
        usual_cost = was.cost
    n = part.volume
    out["mix"] += n * (usual_cost - typical)
    fresh, cached = now.fresh - was.fresh, now.cached - was.cached
    swapped = min(max(0.0, -cached), max(0.0, fresh)) - min(max(0.0, cached), max(0.0, -fresh))
    out["unit_price"] += n * swapped * (was.fresh_price - was.cached_price)
    out["tokens_per_request"] += n * (
        (fresh - swapped) * was.fresh_price
        + (cached + swapped) * was.cached_price
        + (now.output - was.output) * was.output_price
    )
    out["unit_price"] += n * (
        now.fresh * (now.fresh_price - was.fresh_price)
        + now.cached * (now.cached_price - was.cached_price)
        + now.output * (now.output_price - was.output_price)
    )


def _prices(each: _Each) -> dict[str, float]:
    return {
        "fresh_price": each.fresh_price,
        "cached_price": each.cached_price or each.fresh_price,
        "output_price": each.output_price,
    }


def _whole(parts: Parts) -> Part:
    whole = Part()
    for part in parts.values():
        whole.mix(part, 1.0, 1.0)
    return whole


def _each(part: Part, other: Part) -> _Each:
    """A request of this cell. A class without tokens is priced as the other stretch priced it."""
    fresh_usd = part.usd - part.cached_usd - part.output_usd
    n = part.volume
    fresh = part.fresh if part.fresh > 0 else n  # a GPU-minute has no tokens: its one part is itself
    return _Each(
        fresh / n,
        part.cached / n,
        part.output / n,
        fresh_usd / fresh,
        _price(part.cached_usd, part.cached, other.cached_usd, other.cached),
        _price(part.output_usd, part.output, other.output_usd, other.output),
    )


def _price(usd: float, tokens: float, other_usd: float, other_tokens: float) -> float:
    if tokens > 0:
        return usd / tokens
    return other_usd / other_tokens if other_tokens > 0 else 0.0
