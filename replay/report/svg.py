"""Plots as inline SVG: small, sharp in print, coloured by the page's style, and named for who can't see them.

All text goes through `escape`; numbers are rounded, so that the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup, escape

from streams.core.windows.sums import utc

WIDTH, HEIGHT = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 14, 26
NAME_WIDTH = 16
DAY, HOUR = 86_400, 3600
TICKS = (300, 900, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY)

Place = Callable[[float], float]
"""From a value to where it stands."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time that stands out: an incident. Epoch seconds UTC."""

    start: float
    end: float
    name: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time in equal steps; None is a gap. `style` is a class of the page."""

    style: str
    values: Sequence[float | None]


def over_time(
    title: str, start: float, step: float, lines: Sequence[Line], *, bands: Sequence[Band] = (), unit: str = "$"
) -> Markup:
    """Lines over time; the first is filled. `start` in epoch seconds UTC, `step` in seconds."""
    count = max(len(line.values) for line in lines)
    known = [value for line in lines for value in line.values if value is not None]
    low, high, ticks = _scale(min([0.0, *known]), max(known, default=0.0))
    end = start + count * step

    def x(at: float) -> float:
        return LEFT + (min(max(at, start), end) - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(ticks, y, unit), _dates(start, end, x), _bands(bands, x)]
    for number, line in enumerate(lines):
        path = _steps(line, start, step, x, y)
        if number == 0:
            parts.append(f'<path class="area {line.style}" d="{_closed(line, start, step, x, y)}"/>')
        parts.append(f'<path class="line {line.style}" d="{path}"/>')
    return _svg(title, WIDTH, HEIGHT, parts)


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> Markup:
    """Named amounts as horizontal bars, to both sides of 0: name, value, and the value in words."""
    height, name_width, worded = 24, 190, 110
    low, high = min([0.0, *(value for _, value, _ in rows)]), max([0.0, *(value for _, value, _ in rows)])
    room = WIDTH - name_width - worded
    scale = room / (high - low) if high > low else 0.0
    zero = name_width - low * scale
    parts = []
    for number, (name, value, words) in enumerate(rows):
        top = number * height
        left = zero + min(0.0, value) * scale
        side = "less" if value < 0 else "more"
        width = _n(max(abs(value) * scale, 0.8))
        parts.append(
            f'<text class="name" x="0" y="{top + 16}">{_cut(name)}</text>'
            f'<rect class="{side}" x="{_n(left)}" y="{top + 4}" width="{width}" height="16"/>'
            f'<text class="value" x="{WIDTH}" y="{top + 16}">{escape(words)}</text>'
        )
    return _svg(title, WIDTH, height * max(1, len(rows)), parts)


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> Markup:
    body = "".join(parts)
    return Markup(  # noqa: S704 - every part is a number or escaped
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f"{body}</svg>"
    )


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends and about four ticks."""
    span = high - low or 1.0
    rough = span / 4
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    bottom, top = floor(low / step), ceil(high / step - 1e-9)
    top = max(top, bottom + 1)
    return bottom * step, top * step, [number * step for number in range(bottom, top + 1)]


def _grid(ticks: Sequence[float], place: Place, unit: str) -> str:
    digits = 0 if ticks[-1] - ticks[0] >= 20 else 2 if ticks[-1] - ticks[0] >= 0.2 else 5
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_n(place(tick))}" y2="{_n(place(tick))}"/>'
        f'<text class="tick left" x="{LEFT - 6}" y="{_n(place(tick) + 4)}">{escape(unit)}{tick:,.{digits}f}</text>'
        for tick in ticks
    )


def _dates(start: float, end: float, place: Place) -> str:
    every = next((tick for tick in TICKS if (end - start) / tick <= 8), TICKS[-1])
    first = ceil(start / every) * every
    pattern = "%H:%M" if every < DAY else "%-d %b" if end - start < 300 * DAY else "%b %Y"
    out = []
    for number in range(int((end - first) // every) + 1):
        at = first + number * every
        words = utc(at).strftime("%-d %b" if pattern == "%H:%M" and at % DAY == 0 else pattern)
        if place(at) <= WIDTH - 2 * RIGHT:  # the last would be cut off
            out.append(f'<text class="tick" x="{_n(place(at))}" y="{HEIGHT - 8}">{words}</text>')
    return "".join(out)


def _bands(bands: Sequence[Band], place: Place) -> str:
    """The stretches in the order given; a name that would lie over an earlier one is left out."""
    out, named = [], list[float]()
    for band in bands:
        left, right = place(band.start), place(band.end)
        width = max(right - left, 3.0)
        inside = f'<rect class="band" x="{_n(left)}" y="{TOP}" width="{_n(width)}" height="{HEIGHT - TOP - BOTTOM}"/>'
        middle = left + width / 2
        if band.name and all(abs(middle - other) > NAME_WIDTH for other in named):
            named.append(middle)
            inside += f'<text class="mark" x="{_n(middle)}" y="{TOP - 3}">{escape(band.name)}</text>'
        out.append(f'<a href="{escape(band.link)}">{inside}</a>' if band.link else inside)
    return "".join(out)


def _steps(line: Line, start: float, step: float, across: Place, down: Place) -> str:
    """A staircase: a sum of a step holds for the whole step, and a slope between sums would be invented."""
    out, pen = [], False
    for number, value in enumerate(line.values):
        if value is None:
            pen = False
            continue
        left, right = across(start + number * step), across(start + (number + 1) * step)
        out.append(f"{'L' if pen else 'M'}{_n(left)} {_n(down(value))}H{_n(right)}")
        pen = True
    return "".join(out)


def _closed(line: Line, start: float, step: float, across: Place, down: Place) -> str:
    filled = Line(line.style, [value or 0.0 for value in line.values])
    path = _steps(filled, start, step, across, down)
    right = across(start + len(line.values) * step)
    return f"{path}L{_n(right)} {_n(down(0.0))}H{_n(across(start))}Z"


def _cut(name: str, most: int = 30) -> str:
    return str(escape(name if len(name) <= most else name[: most - 1] + "\u2026"))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
