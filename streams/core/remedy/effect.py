"""What a remedy was worth, in dollars.

    avoided = excess rate before x hours of the window - excess that came in the window all the same

The excess rate before is what was observed less what was expected, as the finding said it when the remedy was done. The
window begins then and is `remedies.measure_seconds` long (an hour, unless set), or ends where the remedy was undone.
What came all the same is how much the finding's excess grew in it. So the counterfactual is "it would have gone on as
it was for this window", and nothing is extrapolated beyond it: an incident that would have ended by itself within the
window is overstated by what was left of it, one that would have gone on for days is understated. It may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

HOUR = Decimal(3_600)


@dataclass(frozen=True, slots=True)
class Effect:
    """Rates in USD per hour over the window; `after` is what was spent in it, beside what was expected."""

    rate_before: Decimal
    rate_after: Decimal
    avoided: Decimal


def effect(
    *, observed: Decimal, expected: Decimal, excess_then: Decimal, excess_now: Decimal, begun: datetime, ended: datetime
) -> Effect | None:
    """The effect between two moments; None when there is no time between them."""
    hours = Decimal((ended - begun) / timedelta(microseconds=1)) / 1_000_000 / HOUR
    if hours <= 0:
        return None
    grown = excess_now - excess_then
    return Effect(observed, expected + grown / hours, (observed - expected) * hours - grown)
