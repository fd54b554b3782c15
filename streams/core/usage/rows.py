"""Plain calls of many records, put into columns some hundred at a time.

A parsed call is some twenty objects. Those of a record or two stay in the processor's cache from the parser until they
are in columns and let go. Those of a whole batch don't, and each look at them waits for the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from streams.core.columns.block import Whole, identities_of
from streams.core.usage.plain import SAID, PlainCall, plain_call

PIECE = 500  # calls put into columns at once, or a few more
TOKENS = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens", "reasoning_output_tokens",
)  # fmt: skip
COUNTS = (*TOKENS, "requests")
PROFILE = (
    "source", "provider", "model", "operation", "batch", "service_tier", "principal", "account", "region", "tags",
)  # fmt: skip
"""What a call's profile depends on."""
READ = object()
"""Stands for an event that is in columns."""

Key = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """Plain calls by column, with the number of each one's profile.

    Times are texts still. Of `counts` there is a row for each of COUNTS.
    """

    ids: pa.Array
    identities: pa.Array
    times: pa.Array
    counts: Whole
    profiles: Whole


class Reading:
    """Takes the events of record after record, and puts those into columns that are plain calls.

    `numbers` has the number of the profile of what is said in PROFILE.
    """

    def __init__(self, number: Callable[[Key], int]) -> None:
        self._number = number
        self._events = 0
        self._calls: list[PlainCall[Raw]] = []
        self._others: list[int] = []  # the places among the events where no plain call stands
        self._pieces: list[Rows] = []
        self._fits = True

    def take(self, items: list[Any]) -> list[Any]:
        """Take the events of a record, read as plain calls all of them, or parsed. Gives what is to be kept of each."""
        first = self._events
        self._events += len(items)
        kept = items
        if items and type(items[0]) is PlainCall:
            self._calls += items
            kept = [READ] * len(items)
        else:
            for place, call in enumerate(map(plain_call, items), first):
                if call is None:
                    self._others.append(place)
                else:
                    self._calls.append(call)
        if len(self._calls) >= PIECE:
            self._put()
        return kept

    def rows(self, least: int) -> tuple[Rows, Whole] | None:
        """The columns, and where each call stands among the events.

        None where those are not so many calls, or a value of theirs fits no column.
        """
        if not self._pieces and len(self._calls) < least:
            return None
        self._put()
        if not self._fits:
            return None
        places = np.arange(self._events)
        return _joined(self._pieces), np.delete(places, self._others) if self._others else places

    def _put(self) -> None:
        calls, self._calls = self._calls, []
        if not calls:
            return
        try:
            self._pieces.append(self._columns(calls))
        except (pa.ArrowException, UnicodeEncodeError, OverflowError):  # the full validation says whose fault it is
            self._fits = False

    def _columns(self, calls: Sequence[PlainCall[Raw]]) -> Rows:
        count = len(calls)
        columns: dict[str, Sequence[Any]] = dict(
            zip(SAID, zip(*map(astuple, [call.data for call in calls]), strict=True), strict=True)
        )
        columns["tags"] = list(map(bytes, columns["tags"]))
        columns["source"] = [call.source for call in calls]
        names = [call.id for call in calls]
        counts = np.zeros((len(COUNTS), count), dtype=np.int64)
        for row, name in enumerate(COUNTS):
            if any(columns[name]):
                counts[row] = np.fromiter(columns[name], np.int64, count)
        keys = zip(*(columns[name] for name in PROFILE), strict=True)
        return Rows(
            pa.array(names, type=pa.string()),
            identities_of(columns["source"], names),
            pa.array([call.time for call in calls], type=pa.string()),
            counts,
            np.fromiter(map(self._number, keys), np.int64, count),
        )


def _joined(pieces: Sequence[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    return Rows(
        pa.concat_arrays([piece.ids for piece in pieces]),
        pa.concat_arrays([piece.identities for piece in pieces]),
        pa.concat_arrays([piece.times for piece in pieces]),
        np.concatenate([piece.counts for piece in pieces], axis=1),
        np.concatenate([piece.profiles for piece in pieces]),
    )
