"""Both ways of reading a bill, for tests that hold them to each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from replay.readers import LAYOUTS, Item, reader_of
from replay.readers.sheets import item_of
from streams.core.usage.sheet import Sheet
from tests.support.reading import taken

BY_COLUMN = {layout.name: layout for layout in LAYOUTS if layout.by_column is not None}


def pieces(path: Path) -> Iterator[Sheet | Item]:
    """A bill as sheets, and the rows between them."""
    read = reader_of(path).by_column
    assert read is not None
    return read()


def by_column(path: Path) -> Iterator[Item]:
    """What the sheets of a file and the rows between them hold, one by one."""
    for piece in pieces(path):
        if isinstance(piece, Sheet):
            yield from (item_of(piece, place) for place in range(piece.lines.num_rows))
        else:
            yield piece


def same(one: list[Item], other: list[Item]) -> bool:
    """Whether both are the same rows at the same times, and the same events or dead letters."""
    return [(item.row, item.time, taken(item)) for item in one] == [
        (item.row, item.time, taken(item)) for item in other
    ]
