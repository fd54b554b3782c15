"""What each series spent in each bucket, as plain numbers: all that a rival looks at."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.core.detect.merge import Complete
from streams.core.windows.sums import SeriesKey, Sums

Numbers = npt.NDArray[np.float64]
MEASURES = ("usd", "input_usd", "input_tokens", "unallocated_usd", "idle_usd")


def measure(sums: Sums) -> tuple[float, ...]:
    """In the order of MEASURES."""
    usd = float(sums.usd)
    spent_on_input = usd - float(sums.output_usd)
    return usd, spent_on_input, float(sums.input_tokens), float(sums.unallocated_usd), float(sums.idle_usd)


@dataclass(slots=True)
class _Sparse:
    """Buckets that are not empty."""

    at: array[int] = field(default_factory=lambda: array("L"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, bucket: int, value: float) -> None:
        self.at.append(bucket)
        self.values.append(value)

    def dense(self, count: int) -> Numbers:
        whole = np.zeros(count)
        np.add.at(whole, np.asarray(self.at, dtype=np.int64), np.asarray(self.values))
        return whole


class Traces:
    """Collects windows of one pace; `watched` are the series whose other measures are kept as well."""

    def __init__(self, pace: int, watched: Iterable[SeriesKey] = ()) -> None:
        self.pace = pace
        self.start = 0  # epoch seconds UTC of the first bucket
        self.count = 0  # buckets
        self._watched = frozenset(watched)
        self._series: dict[SeriesKey, _Sparse] = {}
        self._leaves: dict[SeriesKey, _Sparse] = {}
        self._measures: dict[tuple[SeriesKey, str], _Sparse] = {}

    def window(self, complete: Complete) -> None:
        """Take in all series of one window."""
        if complete.seconds > self.pace:
            return
        self.start = self.start or complete.start // self.pace * self.pace
        bucket = (complete.start - self.start) // self.pace
        self.count = bucket + 1
        leaves: dict[SeriesKey, float] = {}
        for key, window in complete.windows.items():
            self._series.setdefault(key, _Sparse()).add(bucket, float(window.sums.usd))
            leaves.update((leaf, float(sums.usd)) for leaf, sums in window.cells)
            if key in self._watched:
                for name, value in zip(MEASURES, measure(window.sums), strict=True):
                    self._measures.setdefault((key, name), _Sparse()).add(bucket, value)
        for leaf, usd in leaves.items():
            self._leaves.setdefault(leaf, _Sparse()).add(bucket, usd)

    def series(self) -> dict[SeriesKey, Numbers]:
        """USD per bucket, by series."""
        return {key: sparse.dense(self.count) for key, sparse in self._series.items()}

    def leaves(self) -> dict[SeriesKey, Numbers]:
        """USD per bucket, by the finest parts."""
        return {key: sparse.dense(self.count) for key, sparse in self._leaves.items()}

    def measure(self, key: SeriesKey, name: str) -> Numbers:
        """One measure of a watched series per bucket; zeros when it never was seen."""
        sparse: Any = self._measures.get((key, name))
        return sparse.dense(self.count) if sparse is not None else np.zeros(self.count)
