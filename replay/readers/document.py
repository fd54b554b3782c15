"""Rows of JSON documents: an array of rows, or a page of an API whose `data` are its rows. Streaming, by ijson.

Pages may stand one after the other in one file. A row with a list `results` is a bucket of time, as usage APIs give
them: each result becomes a row of its own, with the bucket's cells beside its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson  # type: ignore[import-untyped]

from replay.readers.base import opened
from replay.readers.json_guard import JsonGuard
from replay.readers.lines import Line, digest, dotted, filled
from replay.readers.values import plain
from schemas.records import Reason
from streams.core.usage.decode import Rejection

ROWS, PAGE, LINES = "item", "data.item", ""
"""Where rows stand in a JSON value: in an array, in a page's `data`, or the value is a row itself (NDJSON)."""
PROBED = 50  # rows that are looked at to tell the layout: the first buckets of a page may be empty
BOM = b"\xef\xbb\xbf"
NOT_JSON = (ijson.JSONError, UnicodeDecodeError, InvalidOperation)
"""What ijson raises on what is no JSON, on text that is not UTF-8, and on an exponent of twenty digits."""


def probe(path: Path) -> tuple[str, list[str]]:
    """Where the rows of a JSON file stand, and the columns of the first; none where it is no JSON."""
    with opened(path) as stream:
        try:
            place, columns = _first_value(_Plain(stream))
        except NOT_JSON:
            return LINES, []
    if place != LINES:
        rows = (line.row for line in islice(of_document(path, place), PROBED) if line.fault is None)
        columns = list(next(rows, {}))
    return place, columns


def _first_value(stream: _Plain) -> tuple[str, list[str]]:
    """Reads no further than the first value, or the beginning of its rows."""
    columns: list[str] = []
    for prefix, kind, value in ijson.parse(stream, multiple_values=True):
        if (prefix, kind) == ("", "start_array"):
            return ROWS, []
        if (prefix, kind) == ("data", "start_array"):
            return PAGE, []
        if (prefix, kind) == ("", "end_map"):
            break
        if kind == "map_key":
            columns.append(f"{prefix}.{value}" if prefix else value)
    return LINES, columns


def of_document(path: Path, place: str) -> Iterator[Line]:
    """The rows at `place`, numbered from 1. Where the JSON ends early or is none, that is the last row's fault."""
    number = 0
    with opened(path) as stream:
        try:
            for found in ijson.items(_Plain(stream), place, multiple_values=True):
                for row in _results(_shallow(found)):
                    number += 1
                    yield _line(number, row)
        except NOT_JSON:
            yield Line(
                number + 1, {}, "", Rejection(Reason.NOT_JSON, "", "the file ends early or is no JSON from here")
            )


class _Plain:
    """The stream without its byte order mark, and looked at before ijson gets it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head = stream.read(len(BOM)).removeprefix(BOM)
        self._guard = JsonGuard()

    def read(self, size: int = -1) -> bytes:
        if not size:
            return b""
        head, self._head = self._head, b""
        piece = head or self._stream.read(size)
        self._guard.look(piece)
        return piece


def _shallow(found: Any) -> Any:
    try:
        return plain(found)
    except RecursionError:
        return None


def _results(found: Any) -> Iterator[Any]:
    if isinstance(found, dict) and isinstance(results := found.get("results"), list):
        bucket = {name: value for name, value in found.items() if name != "results"}
        yield from (bucket | one if isinstance(one, dict) else one for one in results)
    else:
        yield found


def _line(number: int, row: Any) -> Line:
    if not isinstance(row, dict):
        return Line(number, {}, "", Rejection(Reason.NOT_AN_EVENT, "", "must be a JSON object"))
    return Line(number, filled(dotted(row)), digest(json.dumps(row, sort_keys=True).encode()))
