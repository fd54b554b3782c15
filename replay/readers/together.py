"""Several files as one history: side by side in order of time where their readers know it (bills), one after the other
where they stand in order of arrival (NDJSON).
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from replay.readers import Item, read

Row = tuple[Path, Item | None]
"""A row of a file; None says that the file is at its end."""


def rows(paths: Sequence[Path], reader: Callable[[Path], Iterator[Item]] = read) -> Iterator[Row]:
    """The rows of all files: those whose reader knows the time sorted and side by side, the others one by one."""
    in_order: list[tuple[Path, Iterator[Item]]] = []
    timed: list[Iterator[tuple[float, int, int, Row]]] = []
    for number, path in enumerate(paths):
        items = reader(path)
        first = next(items, None)
        if first is None:
            continue
        items = chain([first], items)
        if first.time is None:
            in_order.append((path, items))
        else:
            timed.append(_sorted(number, path, items))
    for path, items in in_order:
        yield from ((path, item) for item in items)
        yield path, None
    yield from (row for _, _, _, row in heapq.merge(*timed, key=lambda keyed: keyed[:3]))


def _sorted(number: int, path: Path, items: Iterator[Item]) -> Iterator[tuple[float, int, int, Row]]:
    last = 0.0
    for item in sorted(items, key=lambda item: (item.time or 0.0, item.row)):
        last = item.time or 0.0
        yield last, number, item.row, (path, item)
    yield last, number, sys.maxsize, (path, None)
