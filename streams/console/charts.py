"""Charts as numbers: where lines and areas go in a box of 1000 by 100, which the page stretches.

The box is drawn by SVG without a script and without inline style, so that the strict policy of `guard.py` holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

WIDTH, HEIGHT = 1000.0, 100.0
HEADROOM = 1.08


@dataclass(frozen=True, slots=True)
class Sample:
    """One step: USD an hour; None: not known. `band`: low and high of what is usual."""

    at: datetime
    usd: float | None
    band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to point at."""

    x: float
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Geometry and labels. `points`: x, y, time and USD an hour, for the cursor."""

    lines: tuple[str, ...]
    area: tuple[str, ...]
    bands: tuple[str, ...]
    expected_y: float | None
    marks: tuple[Mark, ...]
    top: float
    ticks: tuple[tuple[float, float], ...]  # y and USD an hour
    points: tuple[tuple[float, float, datetime, float], ...]
    begin: datetime
    end: datetime


def draw(
    samples: Sequence[Sample], step: timedelta, *, expected: float | None = None,
    marks: Sequence[tuple[str, str, datetime]] = (),
) -> Chart | None:  # fmt: skip
    """A chart of samples `step` apart; None when there is nothing to draw."""
    known = [sample for sample in samples if sample.usd is not None]
    if not known:
        return None
    begin, end = samples[0].at, samples[-1].at + step
    highest = max(
        [*(sample.usd or 0 for sample in known), *(s.band[1] for s in samples if s.band), expected or 0, 1e-9]
    )
    ticks = _ticks(highest)
    top = max(highest * HEADROOM, ticks[-1])
    total = (end - begin).total_seconds()

    def x(at: datetime) -> float:
        return round(WIDTH * (at - begin).total_seconds() / total, 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - value / top), 2)

    half = step / 2
    points = tuple((x(sample.at + half), y(sample.usd or 0), sample.at, sample.usd or 0) for sample in known)
    lines = tuple(
        " ".join(f"{x(sample.at + half)},{y(sample.usd or 0)}" for sample in run)
        for is_known, group in groupby(samples, key=lambda sample: sample.usd is not None)
        if is_known and (run := list(group))
    )
    area = tuple(
        f"{line.split(',')[0]},{HEIGHT:g} {line} {line.split()[-1].split(',')[0]},{HEIGHT:g}" for line in lines
    )
    return Chart(
        lines=lines, area=area, bands=_bands(samples, step, x, y), expected_y=y(expected) if expected else None,
        marks=tuple(Mark(x(at), name, label) for name, label, at in marks if begin <= at <= end), top=top,
        ticks=tuple((y(tick), tick) for tick in ticks), points=points, begin=begin, end=end,
    )  # fmt: skip


def sparkline(values: Sequence[float]) -> str:
    """The points of a small line without axes, in a box of 100 by 20; its foot is zero."""
    top = max([*values, 1e-9])
    last = max(len(values) - 1, 1)
    return " ".join(f"{100 * at / last:.1f},{19 - 18 * value / top:.1f}" for at, value in enumerate(values))


def _bands(
    samples: Sequence[Sample], step: timedelta, x: Callable[[datetime], float], y: Callable[[float], float]
) -> tuple[str, ...]:
    """A polygon for each run of samples that have a band: out along its top, back along its bottom."""
    polygons = []
    for has_band, group in groupby(samples, key=lambda sample: sample.band is not None):
        if has_band:
            run = [(sample.at, sample.band or (0.0, 0.0)) for sample in group]
            out = [f"{x(at)},{y(band[1])} {x(at + step)},{y(band[1])}" for at, band in run]
            back = [f"{x(at + step)},{y(band[0])} {x(at)},{y(band[0])}" for at, band in reversed(run)]
            polygons.append(" ".join([*out, *back]))
    return tuple(polygons)


def _ticks(highest: float) -> tuple[float, ...]:
    """Two to four round values above zero, to read the height by."""
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next((power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough), power * 10)
    return tuple(
        unit * number
        for number in range(1, max(2, math.ceil(highest / unit)) + 1)
        if unit * number <= highest * HEADROOM
    ) or (unit,)
