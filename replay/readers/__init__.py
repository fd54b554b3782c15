"""Readers of histories: each takes a file and yields usage events as CloudEvents.

Which reader a file needs is told by its content, never by its name. `docs/readers.md` says what maps to what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from replay.readers import (
    anthropic,
    azure,
    cur,
    document,
    focus,
    gcp,
    helicone,
    langfuse,
    lines,
    litellm,
    ndjson,
    oci,
    openai,
    tables,
    traces,
)  # fmt: skip
from replay.readers.base import Item, ReaderError, opened
from replay.readers.events import events
from replay.readers.layouts import Layout
from replay.readers.lines import Line
from replay.readers.ordered import in_order
from replay.readers.sheets import read_by_column
from replay.readers.tables import Table
from streams.core.usage.sheet import Sheet

__all__ = ["LAYOUTS", "Item", "Reader", "ReaderError", "read", "reader_of"]

LAYOUTS: tuple[Layout, ...] = (
    focus.LAYOUT, *cur.LAYOUTS, azure.LAYOUT, gcp.LAYOUT, oci.LAYOUT, *openai.LAYOUTS, *anthropic.LAYOUTS,
    litellm.LAYOUT, langfuse.LAYOUT, helicone.LAYOUT, *traces.LAYOUTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reader:
    """How one file is read. `timed`: its events come in order of time, not in the order of their arrival."""

    name: str
    timed: bool
    read: Callable[[], Iterator[Item]]
    by_column: Callable[[], Iterator[Sheet | Item]] | None = None  # the same, most of it as sheets


def read(path: Path) -> Iterator[Item]:
    """The events of one file. Raises ReaderError when the file can't be read or its content is of no known kind."""
    return reader_of(path).read()


def reader_of(path: Path) -> Reader:
    """The reader that the file's content asks for. Raises ReaderError when there is none."""
    if str(path) == "-":
        return _events(path)
    with opened(path) as stream:
        head = stream.read(65_536)
    if not head.strip():
        raise ReaderError(f"{path}: is empty")
    if head.startswith(b"PAR1"):
        columns = lines.parquet_columns(path)
        return _reader(path, columns, lines.of_parquet, tables.of_parquet)
    if head.removeprefix(document.BOM).lstrip()[:1] in (b"{", b"["):
        return _json(path)
    columns = lines.header_of(head.splitlines()[0].decode("utf-8-sig", "replace"))
    return _reader(path, columns, lines.of_csv, tables.of_csv)


def _reader(
    path: Path,
    columns: list[str],
    rows: Callable[[Path, bool], Iterator[Line]],
    by_column: Callable[[Path, bool], Iterator[Table]],
) -> Reader:
    layout = _layout(columns)
    reader = _layout_reader(path, layout, lambda known: rows(path, known.lower))
    if layout is None or layout.by_column is None or len({name.lower() for name in columns}) < len(columns):
        return reader  # of two columns of one name it is for each row to say which one counts
    known, told = layout, layout.by_column
    return replace(reader, by_column=lambda: read_by_column(by_column(path, known.lower), known, told))


def _json(path: Path) -> Reader:
    place, columns = document.probe(path)
    layout = _layout(columns)
    if layout is not None:
        rows = lines.of_json if place == document.LINES else partial(document.of_document, place=place)
        return _layout_reader(path, layout, lambda _: rows(path))
    if place == document.PAGE and not columns:
        raise ReaderError(f"{path}: is a page without rows")
    return _events(path)


def _layout(columns: Iterable[str]) -> Layout | None:
    names = frozenset(columns)
    return next((layout for layout in LAYOUTS if layout.tells(names)), None)


def _events(path: Path) -> Reader:
    return Reader("events", timed=False, read=lambda: ndjson.read(path))


def _layout_reader(path: Path, layout: Layout | None, rows: Callable[[Layout], Iterator[Line]]) -> Reader:
    if layout is None:
        known = ", ".join(one.name for one in LAYOUTS)
        raise ReaderError(f"{path}: is neither NDJSON of events nor of a known layout ({known})")
    return Reader(layout.name, timed=True, read=lambda: in_order(events(layout, rows(layout)), named=layout.named))
