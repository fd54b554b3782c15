"""Which parts of a series carry its excess."""

from __future__ import annotations

from decimal import Decimal

from schemas.watch import Driver
from streams.core.detect.decompose import MICRO
from streams.core.detect.parts import NOTHING, Parts, payer_of

ONE = 0.7  # of the excess
MOST = 5
LEAST_SHARE = 0.01


def main_payer(actual: Parts, usual: Parts, expected_usd: float, payer: str) -> str | None:
    """The one payer who carries most of the excess, if there is one and it is named."""
    gains: dict[str, float] = {}
    scale = _scale(usual, expected_usd)
    for key in actual.keys() | usual.keys():
        gain = actual.get(key, NOTHING).usd - scale * usual.get(key, NOTHING).usd
        who = payer_of(key, payer)
        gains[who] = gains.get(who, 0.0) + gain
    rises = {who: gain for who, gain in gains.items() if gain > 0}
    largest = max(rises, key=lambda who: (rises[who], who), default="")
    return largest if largest and rises[largest] >= ONE * sum(rises.values()) else None


def _scale(usual: Parts, expected_usd: float) -> float:
    base = sum(part.usd for part in usual.values())
    return expected_usd / base if base > 0 else 0.0


def drivers(actual: Parts, usual: Parts, expected_usd: float, excess: Decimal) -> list[Driver]:
    """The cells of the largest part in the excess, largest first, each against its usual spend scaled to what was
    expected of the whole. A share is a part of `excess`, 0 to 1."""
    scale = _scale(usual, expected_usd)
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
