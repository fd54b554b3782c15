"""Which parts of a series carry its excess."""

from __future__ import annotations

from decimal import Decimal

from schemas.watch import Driver
from streams.core.detect.decompose import MICRO
from streams.core.detect.parts import NOTHING, Parts

MOST = 5
LEAST_SHARE = 0.01


def drivers(actual: Parts, usual: Parts, expected_usd: float, excess: Decimal) -> list[Driver]:
    """The cells of the largest part in the excess, largest first, each against its usual spend scaled to what was
    expected of the whole. A share is a part of `excess`, 0 to 1."""
    base = sum(part.usd for part in usual.values())
    scale = expected_usd / base if base > 0 else 0.0
    gains = {
        key: actual.get(key, NOTHING).usd - scale * usual.get(key, NOTHING).usd for key in actual.keys() | usual.keys()
    }
    sign = 1.0 if excess >= 0 else -1.0
    total = sum(gain for gain in gains.values() if gain * sign > 0)
    if not total:
        return []
    ranked = sorted(gains.items(), key=lambda item: (-sign * item[1], item[0]))
    out = []
    for key, gain in ranked[:MOST]:
        share = min(1.0, max(0.0, gain / total))
        if share < LEAST_SHARE:
            break
        out.append(
            Driver(series=dict(key), excess_usd=(excess * Decimal(share)).quantize(MICRO), share=round(share, 4))
        )
    return out
