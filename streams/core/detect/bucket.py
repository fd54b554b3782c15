"""One window of one series at the series' own pace."""

from __future__ import annotations

from math import copysign

from streams.core.detect.rules import HOUR, WatchRules
from streams.core.windows.sums import SeriesKey, Sums, Window

MATTERS = 0.01  # of the minimum impact, per hour: less is not even recorded
LARGEST = 1e15  # USD per window: beyond is no spend, and would swallow the digits of what is
Cells = list[tuple[SeriesKey, Sums]]


class Bucket:
    """What a series did in a window, with the rules that hold for it. Times in epoch seconds UTC."""

    __slots__ = ("cells", "end", "rules", "seconds", "start", "sums", "usd", "volume")

    def __init__(self, start: int, end: int, sums: Sums, cells: Cells, rules: WatchRules) -> None:
        self.start, self.end, self.seconds = start, end, end - start
        self.sums = sums
        self.cells = cells
        self.rules = rules
        usd = float(sums.usd)
        self.usd = usd if -LARGEST < usd < LARGEST else copysign(LARGEST, usd)
        self.volume: float = sums.requests or float(sums.gpu_minutes)  # requests, or GPU-minutes

    @property
    def hours(self) -> float:
        return self.seconds / HOUR

    @property
    def input_usd(self) -> float:
        """What the input cost, cached or not."""
        return self.usd - float(self.sums.output_usd)

    @property
    def least(self) -> float:
        """An excess that is worth recording, in USD."""
        return self.rules.min_excess_usd * MATTERS * self.hours


def merged(pending: list[Window]) -> tuple[Sums, Cells]:
    """Base windows as one; there is at least one."""
    if len(pending) == 1:
        return pending[0].sums, pending[0].cells
    whole = Sums()
    cells: dict[SeriesKey, Sums] = {}
    for window in pending:
        whole.add(window.sums)
        for key, sums in window.cells:
            cells.setdefault(key, Sums()).add(sums)
    return whole, list(cells.items())
