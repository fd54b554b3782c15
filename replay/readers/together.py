"""Several files as one history: side by side in order of time where their readers know it (bills, traces), one after
the other where they stand in order of arrival (NDJSON).
"""

from __future__ import annotations

import glob
import heapq
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.readers import Item, Reader, ReaderError, reader_of

Row = tuple[Path, Item | None]
"""A row of a file; None says that the file is at its end."""


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
    for path, reader in readers:
        if not reader.timed:
            yield from ((path, item) for item in reader.read())
            yield path, None
    timed = [_keyed(n, path, reader) for n, (path, reader) in enumerate(readers) if reader.timed]
    yield from (row for *_, row in heapq.merge(*timed, key=lambda keyed: keyed[:3]))


def _keyed(number: int, path: Path, reader: Reader) -> Iterator[tuple[float, int, int, Row]]:
    """A file's rows with what they are merged by: the time, which file, and the place in it."""
    time, place = 0.0, 0
    for place, item in enumerate(reader.read()):
        time = item.time or 0.0
        yield time, number, place, (path, item)
    yield time, number, sys.maxsize, (path, None)
