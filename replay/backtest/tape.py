"""The windows of a history, priced and rolled once: what every variant of detection is then run over.

A tape is zstd-compressed lines of JSON: how many cells a series has at most, then windows in the order in which
detection sees them, as they stand on `spend.ticks`, and how many empty ones follow each other. Beside it lies what the
history came to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import cast

import orjson
import pyarrow as pa

from replay.readers.base import opened
from replay.run import Totals
from schemas.records import Meter
from schemas.watch import Finding
from streams.core.detect.merge import Complete
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.merging import Book
from streams.core.windows.ticks import Origin, Ticks
from streams.core.windows.ticks_json import Writer, from_json

NOWHERE = Origin("", 0)  # what is merged has no source partition any more
BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a history came to."""

    events: int
    dead_lettered: int
    first: datetime | None
    last: datetime | None
    meters: tuple[Meter, ...]  # of its windows


class Tape(Watch):
    """Stands where `Watch` does and finds nothing: it writes down what a watch would see."""

    def __init__(self, path: Path, max_cells: int) -> None:
        super().__init__(WatchRules())
        self._path = path
        self._to = pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")
        self._silence: tuple[Meter, int, int, int] | None = None  # meter, seconds, start, how many
        self._meters: set[Meter] = set()
        self._write = Writer().whole
        self._line(orjson.dumps({"type": "tape", "max_cells": max_cells}))

    def window(self, complete: Complete) -> list[Finding]:
        """Write one window down."""
        self._meters.add(complete.meter)
        if complete.windows:
            self._break()
            ticks = Ticks(complete.meter, complete.seconds, complete.start, NOWHERE, complete.parts)
            self._line(self._write(ticks))
            return []
        if self._silence is not None:
            meter, seconds, start, count = self._silence
            if (meter, seconds, start + count * seconds) == (complete.meter, complete.seconds, complete.start):
                self._silence = (meter, seconds, start, count + 1)
                return []
            self._break()
        self._silence = (complete.meter, complete.seconds, complete.start, 1)
        return []

    def close(self, totals: Totals) -> Recorded:
        """The history is over."""
        self._break()
        self._to.close()
        meters = tuple(sorted(self._meters))
        recorded = Recorded(
            totals.events_read, totals.dead_lettered, totals.first_event_time, totals.last_event_time, meters
        )
        beside(self._path).write_bytes(orjson.dumps(recorded))
        return recorded

    def _break(self) -> None:
        if self._silence is not None:
            self._line(orjson.dumps({"type": "silence", "silence": self._silence}))
            self._silence = None

    def _line(self, line: bytes) -> None:
        self._to.write(line + b"\n")


def beside(path: Path) -> Path:
    """Where a tape's `Recorded` lies. It is written last: a tape without it was cut off."""
    return path.with_suffix(".json")


def recorded(path: Path) -> Recorded | None:
    """What a whole tape's history came to; None where there is no whole tape."""
    if not path.exists() or not beside(path).exists():
        return None
    saved = orjson.loads(beside(path).read_bytes())
    first, last = (datetime.fromisoformat(saved[name]) if saved[name] else None for name in ("first", "last"))
    return Recorded(saved["events"], saved["dead_lettered"], first, last, tuple(saved["meters"]))


def windows(path: Path) -> Iterator[Complete]:
    """The windows of a tape, in order."""
    with opened(path) as file:
        lines = iter(cast("BufferedReader", file))
        most, book = orjson.loads(next(lines))["max_cells"], Book()
        for line in lines:
            if line.startswith(b'{"type":"silence"'):
                meter, seconds, start, count = orjson.loads(line)["silence"]
                for number in range(count):
                    yield Complete(meter, seconds, start + number * seconds, {})
                continue
            for one in cast("list[Ticks]", from_json(line)):
                series = book.windows(one.meter, one.seconds, one.start, one.parts, most)
                yield Complete(one.meter, one.seconds, one.start, series, one.parts)
