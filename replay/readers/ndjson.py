"""Our own format: one CloudEvent (or a JSON array of them) a line, in the order of arrival.

A file that is one JSON document over several lines, as the examples are, is read as one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import orjson

from replay.readers.base import Item, opened

MAX_DOCUMENT_BYTES = 16 * 1_048_576  # what is larger than any record is lines, good or bad


def read(path: Path) -> Iterator[Item]:
    """Every line that is not blank. A line that is no event becomes a dead letter later, with its row."""
    with opened(path) as stream:
        first = stream.readline()
        rest: Iterator[bytes] = stream
        if first.strip() and not _is_json(first):
            head = first + stream.read(MAX_DOCUMENT_BYTES)
            if _is_json(head):
                yield Item(row=1, raw=head.strip())
                return
            first, *lines = head.splitlines(keepends=True)
            if lines and not lines[-1].endswith(b"\n"):
                lines[-1] += stream.readline()
            rest = chain(lines, stream)
        for row, line in enumerate(chain([first], rest), start=1):
            text = line.strip()
            if text:
                yield Item(row=row, raw=text)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
