"""How much memory the workers hold over time, as a picture."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from tests.faults.beside import Beside
from tests.faults.workers import Worker

SAMPLE_SECONDS = 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 320, 60, 40, 46, 90
NAME_HEIGHT = 14
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # told apart by the colour-blind too

Points = list[tuple[float, float]]  # (seconds since the start, MB)


class Memory(Beside):
    """Samples the resident memory of workers while inside `async with`."""

    def __init__(self, workers: Mapping[str, Worker]) -> None:
        self._workers = workers
        self._began = time.monotonic()
        self.points: dict[str, Points] = defaultdict(list)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        while True:
            for name, worker in self._workers.items():
                if worker.pid is not None:
                    self.points[name].append((self.now(), resident(worker.pid)))
            await asyncio.sleep(SAMPLE_SECONDS)

    def growth(self, begin: float, end: float) -> dict[str, float]:
        """MB that each worker gained between the means of the first and the last tenth of a stretch of time."""
        tenth = (end - begin) / 10
        return {
            name: round(_mean(points, end - tenth, end) - _mean(points, begin, begin + tenth), 1)
            for name, points in self.points.items()
        }


def resident(pid: int) -> float:
    """Resident memory in MB; 0 when the process has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE_BYTES / 1e6
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _mean(points: Points, begin: float, end: float) -> float:
    values = [value for at, value in points if begin <= at <= end]
    return sum(values) / len(values) if values else 0.0


def svg(points: Mapping[str, Points], outage: tuple[float, float], title: str, what: str) -> str:
    """A line per worker, the outage shaded and named."""
    last = max(at for line in points.values() for at, _ in line)
    most = 100 * (1 + max(value for line in points.values() for _, value in line) // 100)

    def x(at: float) -> float:
        return round(LEFT + at / last * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<rect x="{x(outage[0])}" y="{TOP}" width="{x(outage[1]) - x(outage[0])}" height="{HEIGHT - BOTTOM - TOP}" '
        'fill="#f2dede"/>',
        f'<text x="{x(outage[0]) + 4}" y="{TOP + 14}" fill="#a94442">{escape(what)}</text>',
    ]
    for value in range(0, int(most) + 1, 100):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value} MB</text>')
    parts += [
        f'<text x="{x(minute * 60)}" y="{HEIGHT - 16}" text-anchor="middle">{minute} min</text>'
        for minute in range(int(last // 60) + 1)
    ]
    lines = sorted(points.items(), key=lambda item: item[1][-1][1])  # from the bottom, so that names don't overlap
    at = float(HEIGHT)
    for (name, line), colour in zip(lines, COLOURS, strict=False):
        at = min(at - NAME_HEIGHT, y(line[-1][1]) + 4)
        parts += _line(name, [(x(when), y(value)) for when, value in line], colour, at)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(name: str, places: Sequence[tuple[float, float]], colour: str, name_at: float) -> list[str]:
    path = " ".join(f"{left},{top}" for left, top in places)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
        f'<text x="{places[-1][0] + 6}" y="{name_at}" fill="{colour}">{escape(name)}</text>',
    ]
