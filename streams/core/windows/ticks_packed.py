"""Windows as bytes: what they say in text as JSON, and their sums as the whole numbers that they are, compressed.

All as JSON, a window took more than twice as many bytes, and more than twice as long to write and to read.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
from lz4.block import LZ4BlockError, compress, decompress

from schemas.watch import MONEY
from streams.core.windows.table import MOST_DIGITS, Table, in_order

MARK = b"\x05"  # of format 5; JSON never begins so
MOST_BYTES = 1 << 26  # of a record when it is unpacked: what claims to be more is not ours, and would fill the memory
_HEAD = struct.Struct("<cII")  # the mark, how many bytes of what is unpacked are JSON, and how many there are of all


def pack(said: dict[str, Any], table: Table) -> bytes:
    """The window: `said` is as in `schemas.watch.Ticks`, without the sums; those of the table are whole numbers of 64
    bits."""
    some = np.flatnonzero(table.units.any(axis=1)).tolist()
    fields, places = [table.fields[at] for at in some], [table.places[at] for at in some]
    text = orjson.dumps({**said, "fields": fields, "places": places})
    whole = text + table.units[some].astype("<i8", copy=False).tobytes()
    packed: bytes = compress(whole, store_size=False)
    return _HEAD.pack(MARK, len(text), len(whole)) + packed


def unpack(value: bytes) -> tuple[dict[str, Any], Table]:
    """The reverse. Raises ValueError, TypeError or LookupError on what `pack` did not write."""
    _, upto, size = _HEAD.unpack_from(value.ljust(_HEAD.size))
    if not 0 < upto <= size <= MOST_BYTES:
        raise ValueError("sizes of another record")
    try:
        whole = decompress(memoryview(value)[_HEAD.size :], uncompressed_size=size)
    except LZ4BlockError:
        raise ValueError("no compressed record") from None
    said = orjson.loads(memoryview(whole)[:upto])
    fields, places, count = tuple(said["fields"]), tuple(said["places"]), len(said["parts"])
    if not in_order(fields) or not all(map(_fits, fields, places)) or len(places) != len(fields):
        raise ValueError("fields of another table")
    units = np.frombuffer(whole, dtype="<i8", offset=upto).reshape(len(fields), count)
    return said, Table(fields, places, units.astype(np.int64, copy=False))


def _fits(field: str, places: object) -> bool:
    """Whether a field may have so many decimal places."""
    return type(places) is int and 0 <= places <= (MOST_DIGITS if field in MONEY else 0)
