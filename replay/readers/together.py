"""Several files as one history: side by side in order of time where their readers know it (bills, traces), one after
the other where they stand in order of arrival (NDJSON).
"""

from __future__ import annotations

import glob
import heapq
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from replay.readers import Item, Reader, ReaderError, reader_of
from replay.readers.sheets import stretch
from streams.core.usage.sheet import Sheet

Row = tuple[Path, Item | None]
"""A row of a file; None says that the file is at its end."""
Piece = tuple[Path, Sheet | Item | None]
"""The same, of rows that follow each other."""


@dataclass(frozen=True, slots=True)
class Found:
    """The files that inputs stand for, and those in folders that are no histories, with the reason."""

    files: list[Path]
    skipped: list[str]


def expand(inputs: Sequence[Path]) -> Found:
    """Folders (with all that is below them) and patterns (`bills/*.csv`) as files, sorted by name; files as they are.

    Raises ReaderError when an input stands for no file. What is hidden, empty or of no known kind is skipped in a
    folder or a pattern, where nobody asked for it by name.
    """
    found = Found([], [])
    for path in inputs:
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(path))]
        elif str(path) != "-" and not path.exists() and glob.has_magic(str(path)):
            inside = [p for name in glob.glob(str(path), recursive=True) if (p := Path(name)).is_file()]
        else:
            found.files.append(path)
            continue
        known = [p for p in sorted(inside) if _is_known(p, found.skipped)]
        if not known:
            raise ReaderError(f"{path}: holds no history that can be read")
        found.files.extend(known)
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _is_known(path: Path, skipped: list[str]) -> bool:
    try:
        reader_of(path)
    except ReaderError as error:
        skipped.append(str(error))
        return False
    return True


def rows(paths: Sequence[Path]) -> Iterator[Row]:
    """The rows of all files: those whose reader knows the time side by side, before them the others one by one."""
    readers = [(path, reader_of(path)) for path in paths]
    yield from _in_order_of_arrival(readers)
    timed = [_keyed(n, path, reader) for n, (path, reader) in enumerate(readers) if reader.timed]
    yield from (row for *_, row in heapq.merge(*timed, key=lambda keyed: keyed[:3]))


def pieces(paths: Sequence[Path]) -> Iterator[Piece]:
    """The same rows in the same order, those that can be read by column as sheets."""
    readers = [(path, reader_of(path)) for path in paths]
    yield from _in_order_of_arrival(readers)
    heads = [
        _Head(number, (reader.by_column or reader.read)()) for number, (_, reader) in enumerate(readers) if reader.timed
    ]
    heapq.heapify(heads)
    while heads:
        first = heapq.heappop(heads)
        path = paths[first.number]
        if first.next is None:
            yield path, None
            continue
        yield from ((path, piece) for piece in first.take(heads[0] if heads else None))
        heapq.heappush(heads, first)


def _in_order_of_arrival(readers: Sequence[tuple[Path, Reader]]) -> Iterator[Row]:
    for path, reader in readers:
        if not reader.timed:
            yield from ((path, item) for item in reader.read())
            yield path, None


def _keyed(number: int, path: Path, reader: Reader) -> Iterator[tuple[float, int, int, Row]]:
    """A file's rows with what they are merged by: the time, which file, and the place in it."""
    time, place = 0.0, 0
    for place, item in enumerate(reader.read()):
        time = item.time or 0.0
        yield time, number, place, (path, item)
    yield time, number, sys.maxsize, (path, None)


class _Head:
    """How far a file has been read: what of it comes `next`, None at its end, and when that was."""

    def __init__(self, number: int, rest: Iterator[Sheet | Item]) -> None:
        self.number = number
        self._rest = rest
        self._time = 0.0
        self.next: Sheet | Item | None = None
        self._go_on()

    def __lt__(self, other: _Head) -> bool:
        return (self._time, self.number) < (other._time, other.number)

    def take(self, other: _Head | None) -> Iterable[Sheet | Item]:
        """What comes next; of a sheet the lines that come before what is next in the other file."""
        piece = self.next
        if not isinstance(piece, Sheet):
            self._go_on()
            return () if piece is None else (piece,)
        count = size = piece.lines.num_rows
        if other is not None:
            # Of two files the first goes first where both are at the same time.
            side: Literal["left", "right"] = "right" if self.number < other.number else "left"
            count = int(np.searchsorted(piece.seconds, other._time, side))
        if count == size:
            self._go_on()
        else:
            self._be_at(piece.slice(count, size))
        return stretch(piece, 0, count)

    def _go_on(self) -> None:
        self._be_at(next(self._rest, None))

    def _be_at(self, piece: Sheet | Item | None) -> None:
        self.next = piece
        if isinstance(piece, Sheet):
            self._time = float(piece.seconds[0])
        elif piece is not None:
            self._time = piece.time or 0.0
