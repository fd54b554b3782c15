"""Ticks and watermarks as they stand on `spend.ticks`; see `schemas.watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any

import orjson

from schemas.watch import COUNTS, DIMENSIONS, MONEY, SUMS
from streams.core.windows import ticks_2
from streams.core.windows.sums import ZERO, SeriesKey, Sums, utc
from streams.core.windows.ticks import Origin, Part, Ticks, Watermark


def ticks_to_json(ticks: Ticks) -> bytes:
    """As `schemas.watch.Ticks` describes it."""
    place: dict[SeriesKey, int] = {}
    members = [[place.setdefault(series, len(place)) for series in part.series] for part in ticks.parts]
    aligned = {
        str(number): {str(step): count for step, count in part.aligned.items()}
        for number, part in enumerate(ticks.parts) if part.aligned
    }  # fmt: skip
    return orjson.dumps(
        {
            "type": "ticks",
            "meter": ticks.meter,
            "window_start": utc(ticks.start).isoformat(),
            "window_seconds": ticks.seconds,
            "topic": ticks.origin.topic,
            "partition": ticks.origin.partition,
            "piece": ticks.piece,
            "series": [dict(series) for series in place],
            "parts": [_values(part.key) for part in ticks.parts],
            "members": members,
            "sums": _columns([part.sums for part in ticks.parts]),
            "aligned": aligned,
        }
    )


def _columns(sums: Sequence[Sums]) -> dict[str, list[Any]]:
    """By name, without what has nothing in it."""
    columns: dict[str, list[Any]] = {}
    for name in MONEY:
        amounts = [getattr(one, name) for one in sums]
        if any(amounts):
            columns[name] = [str(amount) if amount else 0 for amount in amounts]
    for name in COUNTS:
        counts = [getattr(one, name) for one in sums]
        if any(counts):
            columns[name] = counts
    return columns


def watermark_to_json(mark: Watermark) -> bytes:
    """A watermark as `schemas.watch.Watermark` describes it."""
    return orjson.dumps(
        {
            "type": "watermark",
            "meter": mark.meter,
            "window_seconds": mark.seconds,
            "topic": mark.origin.topic,
            "partition": mark.origin.partition,
            "time": utc(mark.time).isoformat(),
            "idle": mark.idle,
            "over": mark.over,
        }
    )


def from_json(value: bytes) -> list[Ticks] | Watermark:
    """What stands on `spend.ticks`, also as it was until format 3. Raises ValueError on what `roll` did not write."""
    try:
        return _from_json(value)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no ticks and no watermark ({type(error).__name__})") from None


def _from_json(value: bytes) -> list[Ticks] | Watermark:
    wire = orjson.loads(value)
    meter, seconds, origin = wire["meter"], wire["window_seconds"], Origin(wire["topic"], wire["partition"])
    if wire["type"] == "watermark":
        return Watermark(meter, seconds, origin, _epoch(wire["time"]), wire["idle"], wire.get("over", False))
    window = Ticks(meter, seconds, _epoch(wire["window_start"]), origin)
    if "members" not in wire:
        return ticks_2.by_series(window, wire)
    window.piece = wire["piece"]
    all_series = [tuple(series.items()) for series in wire["series"]]
    keys, members = wire["parts"], wire["members"]
    window.parts = [
        Part(_key(tuple(values)), tuple([all_series[at] for at in here]), sums)
        for values, here, sums in zip(keys, members, _rows(wire["sums"], len(keys)), strict=True)
    ]
    for number, aligned in wire["aligned"].items():
        window.parts[int(number)].aligned = {int(step): count for step, count in aligned.items()}
    return [window]


def _rows(columns: dict[str, list[Any]], count: int) -> Iterator[Sums]:
    """Sums of so many parts, from the columns that have something in them."""
    if not count:
        return iter(())
    read: list[Iterable[Any]] = []
    for name in SUMS:
        column = columns.get(name)
        if column is None:
            read.append(repeat(ZERO if name in MONEY else 0, count))
        else:
            read.append([Decimal(amount) for amount in column] if name in MONEY else column)
    return map(Sums, *read)


def _epoch(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


@lru_cache(maxsize=100_000)
def _values(key: SeriesKey) -> tuple[str, ...]:
    """A part's values in the order of `DIMENSIONS`, empty where it has none."""
    named = dict(key)
    return tuple(named.get(name, "") for name in DIMENSIONS)


@lru_cache(maxsize=100_000)
def _key(values: tuple[str, ...]) -> SeriesKey:
    """The reverse of `_values`."""
    return tuple((name, value) for name, value in zip(DIMENSIONS, values, strict=True) if value)
