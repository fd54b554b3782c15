"""From histories and variants to what each variant saw: prices and rolls once, then runs detection only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.backtest.compare import Stretch, stretch
from replay.backtest.detect import Seen
from replay.backtest.document import About
from replay.backtest.execute import Job, carry_out, jobs, record, rolled_by, span
from replay.backtest.histories import History
from replay.backtest.labels import LabelError
from replay.backtest.tape import Recorded
from replay.backtest.variants import Variant
from streams.settings import Settings

Progress = Callable[[str, int], None]
"""Told what is under way and how many steps of it there are; 0 steps: one of them is done."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A history that can be judged, with its tapes by what rolled them (a metric has none)."""

    history: History
    stretch: Stretch
    tapes: Mapping[bytes, tuple[Path, Recorded]]


@dataclass(frozen=True, slots=True)
class Spans:
    """How each history is cut. `warmup_days` None: as its labels say. `held_out`: a share of the rest."""

    warmup_days: float | None
    held_out: float
    searching: bool


def prepare(
    found: Sequence[History],
    ways: Sequence[Settings],
    spans: Spans,
    folder: Path,
    progress: Progress,
    *,
    reuse: bool,
) -> tuple[list[Prepared], list[About]]:
    """Price and roll every history once for each way to do it; say which can't be judged, and why.

    Raises ReaderError for a file that can't be read, LabelError when no history can be judged.
    """
    distinct = {rolled_by(one): one for one in ways}
    prepared, about = [], []
    progress("pricing", len(found))
    for history in found:
        tapes: dict[bytes, tuple[Path, Recorded]] = {}
        if not history.points:
            tapes = {way: record(history, one, folder, reuse=reuse) for way, one in distinct.items()}
        progress("pricing", 0)
        known = next((known for _, known in tapes.values()), None)
        whole = span(history, known)
        warmup = _warmup(history) if spans.warmup_days is None else spans.warmup_days
        part = stretch(whole, warmup, spans.held_out) if whole is not None else None
        about.append(_about(history, known, part, warmup, searching=spans.searching))
        if part is not None:
            prepared.append(Prepared(history, part, tapes))
    if not prepared:
        raise LabelError("nothing to judge: " + "; ".join(f"{one.name}: {one.note}" for one in about))
    return prepared, about


def see(
    prepared: Sequence[Prepared],
    wanted: Sequence[Variant],
    settings: Mapping[str, Settings],
    processes: int,
    progress: Progress,
) -> dict[str, list[tuple[History, Stretch, Seen]]]:
    """What every variant saw in every history, by the variant's name."""
    work: list[tuple[Prepared, Job]] = []
    for one in prepared:
        if one.history.points:
            plans = [each.plan(settings[each.name]) for each in wanted]
            work += [(one, job) for job in jobs(plans, None, one.history.points, None)]
        for way, (tape, known) in one.tapes.items():
            plans = [each.plan(settings[each.name]) for each in wanted if rolled_by(settings[each.name]) == way]
            work += [(one, job) for job in jobs(plans, tape, (), known.last)]
    seen: dict[str, list[tuple[History, Stretch, Seen]]] = {one.name: [] for one in wanted}
    progress("detecting", len(work))
    answers = carry_out([job for _, job in work], processes, lambda: progress("detecting", 0))
    for (one, job), answer in zip(work, answers, strict=True):
        for plan, each in zip(job.plans, answer, strict=True):
            seen[plan.name].append((one.history, one.stretch, each))
    return seen


def _warmup(history: History) -> float:
    return (history.truth.warmup_days if history.truth is not None else None) or 0.0


def _about(history: History, known: Recorded | None, part: Stretch | None, warmup: float, *, searching: bool) -> About:
    events = len(history.points) if history.points else known.events if known else 0
    whole = span(history, known)
    note = "" if part is not None else f"no longer than the warm-up of {warmup:g} days" if whole else "no events"
    if known is not None and known.dead_lettered:
        note = "; ".join(filter(None, (note, f"{known.dead_lettered:,} dead letters")))
    return About(
        history.name,
        tuple(path.name for path in history.files),
        events,
        known.dead_lettered if known else 0,
        whole[0].isoformat() if whole else None,
        whole[1].isoformat() if whole else None,
        part.start.isoformat() if part else None,
        part.split.isoformat() if part and searching else None,
        len(history.truth.labels) if history.truth is not None else None,
        note,
    )
