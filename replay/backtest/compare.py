"""A whole backtest: every variant over every history, judged over the whole and, in a search, over time held out.

A search chooses by the first part of each history and reports the rest beside it: what was not chosen by is the honest
figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from replay.backtest.detect import Plan, Seen
from replay.backtest.figures import Figures, figures
from replay.backtest.histories import History
from replay.backtest.score import judge, pooled

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a history is judged: from the end of its warm-up, with the moment from which time is held out."""

    start: datetime
    split: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """One variant over all histories. `tuned` and `held_out` are None when nothing was searched."""

    plan: Plan
    whole: Figures
    tuned: Figures | None
    held_out: Figures | None
    by_history: dict[str, Figures] = field(default_factory=dict)


def stretch(whole: Span, warmup_days: float, held_out: float) -> Stretch | None:
    """Where to judge; None when the warm-up leaves nothing."""
    start = whole[0] + timedelta(days=warmup_days)
    if start >= whole[1]:
        return None
    return Stretch(start, whole[1] - (whole[1] - start) * held_out, whole[1])


def result(plan: Plan, seen: Sequence[tuple[History, Stretch, Seen]], *, split: bool) -> Result:
    """Judge what one variant saw in each history."""
    judged = [(history, part, judge(each, history.truth, part.start, part.end)) for history, part, each in seen]
    halves = [one.split(part.split, part.start, part.end) for _, part, one in judged] if split else []
    return Result(
        plan,
        figures(pooled(one for *_, one in judged)),
        figures(pooled(before for before, _ in halves)) if split else None,
        figures(pooled(after for _, after in halves)) if split else None,
        {history.name: figures(one) for history, _, one in judged} if len(judged) > 1 else {},
    )


def choose(results: Sequence[Result], alerts_per_week: float) -> Result | None:
    """The best by the tuned part within the budget of alerts; None when none keeps to it.

    With known incidents: most of them caught, then fewest dollars before detection, then fewest alerts. Without: the
    most dollars of excess in what pages, then fewest alerts. What is equal goes to the first.
    """
    fitting = [one for one in results if one.tuned is not None and (one.tuned.alerts_per_week or 0) <= alerts_per_week]
    return max(fitting, key=_merit, default=None)


def _merit(one: Result) -> tuple[float, ...]:
    tuned = one.tuned
    if tuned is None:
        return ()
    if tuned.incidents:
        return (tuned.recall or 0.0, -(tuned.usd_before_share or 0.0), -tuned.alerts)
    return (float(tuned.excess_usd_paged), -tuned.alerts)
