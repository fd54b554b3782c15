"""Readers of histories: each takes a file and yields usage events as CloudEvents, one `Item` a row.

Which reader a file needs is told by its content, never by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from replay.readers import bills, ndjson
from replay.readers.base import Item, ReaderError, opened

__all__ = ["Item", "ReaderError", "read"]

Reader = Callable[[Path], Iterator[Item]]


def read(path: Path) -> Iterator[Item]:
    """The events of one file. Raises ReaderError when the file can't be read or its content is of no known kind."""
    return _reader(path)(path)


def _reader(path: Path) -> Reader:
    if str(path) == "-":
        return ndjson.read
    with opened(path) as stream:
        head = stream.read(65_536)
    if not head.strip():
        raise ReaderError(f"{path}: is empty")
    if head.startswith(b"PAR1"):
        return bills.read_parquet
    if head.lstrip()[:1] in (b"{", b"["):
        return ndjson.read
    first_line = head.splitlines()[0].decode("utf-8-sig", "replace")
    if bills.layout(first_line) is not None:
        return bills.read_csv
    known = ", ".join(bills.LAYOUTS)
    raise ReaderError(f"{path}: is neither NDJSON of events nor a bill of a known layout ({known})")
