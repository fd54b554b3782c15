"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replay.compare.contest import OURS, Result
from replay.compare.rivals import RIVALS
from replay.compare.scoring import Score

TITLES = {
    "tokens": "Model calls: {n} histories of ten days, 14 keys, by the minute",
    "gpu": "GPUs: {n} histories of fourteen days, 8 clusters, by five minutes",
    "bill": "Cloud bills: {n} months of hourly line items",
}
HEAD = (
    "| who | recall | precision | false alerts a day | alerts per incident | median time to detect | spent before "
    "| kept quiet |\n|---|---|---|---|---|---|---|---|"
)
NONE = "-"
AFFORDABLE = 1.0  # false alerts a day that somebody may stand


@dataclass(frozen=True, slots=True)
class Point:
    """A method at one threshold, over all benchmarks of a kind. `score` None: it told too much in one of them."""

    method: str
    threshold: float
    score: Score | None


def points(results: Iterable[Result], kind: str) -> list[Point]:
    """Every method at every threshold, summed over the benchmarks of one kind."""
    found = [result for result in results if result.kind == kind]
    keys = dict.fromkeys(key for result in found for key in result.scores)
    out = []
    for method, threshold in keys:
        scores = [result.scores.get((method, threshold)) for result in found]
        known = [score for score in scores if score is not None]
        out.append(Point(method, threshold, Score.summed(known) if len(known) == len(scores) else None))
    return out


def comparison(results: Sequence[Result]) -> str:
    """A table per kind of benchmark: ours, then each rival as it is usually set and at its best."""
    blocks = []
    for kind, title in TITLES.items():
        found = points(results, kind)
        if not found:
            continue
        count = sum(result.kind == kind for result in results)
        lines = [f"**{title.format(n=count)}**", "", HEAD]
        lines += [
            _row("**Spendstream**", point.score) for point in found if (point.method, point.threshold) == (OURS, 1)
        ]
        for rival in RIVALS:
            mine = [point for point in found if point.method == rival.name]
            usual = next((point for point in mine if point.threshold == rival.usual), None)
            if usual is None:
                continue
            lines.append(_row(f"{rival.title} ({_number(rival.usual)})", usual.score))
            best = best_of(mine)
            if best is not None and best.threshold != rival.usual:
                lines.append(_row(f"&nbsp;&nbsp;at its best ({_number(best.threshold)})", best.score))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def best_of(mine: Iterable[Point]) -> Point | None:
    """The threshold of the highest recall at no more false alerts a day than somebody may stand."""
    quiet = [point for point in mine if point.score is not None and point.score.false_per_day <= AFFORDABLE]
    return max(
        quiet,
        key=lambda point: (point.score.recall, -point.score.false_per_day) if point.score else (0, 0),
        default=None,
    )


def kinds(results: Sequence[Result]) -> str:
    """What became of each kind of incident with us, at sensitivity 1."""
    lines = ["| kind | must | held | median time to detect |", "|---|---|---|---|"]
    found = [score for result in results if (score := result.scores[OURS, 1.0]) is not None]
    outcomes = [outcome for score in found for outcome in score.outcomes]
    must = {"alert": "page", "finding": "be recorded", "silence": "not page"}
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        for expect, words in must.items():
            mine = [outcome for outcome in outcomes if (outcome.kind, outcome.expect) == (kind, expect)]
            if not mine:
                continue
            delays = sorted(outcome.delay for outcome in mine if outcome.delay is not None and expect != "silence")
            median = _seconds(delays[len(delays) // 2]) if delays else NONE
            lines.append(
                f"| {kind.replace('_', ' ')} | {words} | {sum(o.ok for o in mine)} of {len(mine)} | {median} |"
            )
    return "\n".join(lines)


def sensitivities(results: Sequence[Result]) -> str:
    """What each sensitivity gives with us."""
    lines = ["| sensitivity | benchmark | recall | false alerts a day |", "|---|---|---|---|"]
    for kind in TITLES:
        mine = sorted((point for point in points(results, kind) if point.method == OURS), key=lambda p: p.threshold)
        lines += [
            f"| {_number(point.threshold)} | {kind} | {point.score.recall:.3f} | {point.score.false_per_day:.2f} |"
            for point in mine
            if point.score is not None
        ]
    return "\n".join(lines)


def _row(who: str, score: Score | None) -> str:
    if score is None:
        return f"| {who} | {NONE} | {NONE} | too many to group | {NONE} | {NONE} | {NONE} | {NONE} |"
    quiet = score.expecting("silence")
    cells = (
        f"{score.recall:.3f}",
        NONE if score.precision is None else f"{score.precision:.2f}",
        f"{score.false_per_day:.2f}",
        NONE if score.alerts_per_incident is None else f"{score.alerts_per_incident:.2f}",
        _seconds(score.median_delay),
        NONE if score.spent_share is None else f"{score.spent_share:.0%}",
        f"{sum(outcome.ok for outcome in quiet)} of {len(quiet)}" if quiet else NONE,
    )
    return f"| {who} | {' | '.join(cells)} |"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _number(value: float) -> str:
    """A threshold; one of many nines by their number."""
    if not 0.999 < value < 1.0:
        return f"{value:g}"
    _, _, exponent = f"{1.0 - value:.0e}".partition("e")
    return f"1 - 1e{int(exponent)}"
