"""Arrow tables as ClickHouse's Native format: its own columns as they lie in memory, which it need not convert.

https://clickhouse.com/docs/interfaces/formats/Native. Of Arrow's own format a batch of charges takes it more than twice
the CPU: it is read into Arrow's columns first, and those are copied into ClickHouse's.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LOW_CARDINALITY_VERSION = 1
NARROW = 18  # digits: a decimal of so many has fewer bytes there than in Arrow
OWN_DICTIONARY = 1 << 9 | 1 << 10  # the keys follow, and they are no others than these
CODES = ((1 << 8, "<u1"), (1 << 16, "<u2"), (1 << 32, "<u4"))  # by number: for how many keys, as what
PLAIN = {
    pa.string(): "String",
    pa.bool_(): "Bool",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint64(): "UInt64",
    pa.float64(): "Float64",
    pa.timestamp("us", tz="UTC"): "DateTime64(6, 'UTC')",
}


def native(table: pa.Table) -> Generator[bytes, None, None]:
    """The table as one block, piece by piece. Raises ValueError for a type, or nulls, that have no counterpart here."""
    yield _varint(table.num_columns) + _varint(table.num_rows)
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        nullable = array.null_count > 0
        kind = _type(array.type)
        yield _text(name) + _text(f"Nullable({kind})" if nullable else kind)
        yield _prefix(array.type)
        if nullable:
            if kind.startswith(("LowCardinality", "Map")):
                raise ValueError(f"{name}: a {kind} with nulls")
            yield array.is_null().to_numpy(zero_copy_only=False).tobytes()
        if len(array):
            yield from _data(array)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return f"LowCardinality({_type(kind.value_type)})"
    if pa.types.is_map(kind):
        return f"Map({_type(kind.key_type)}, {_type(kind.item_type)})"
    if pa.types.is_decimal128(kind) and kind.precision > NARROW:
        return f"Decimal({kind.precision}, {kind.scale})"
    if pa.types.is_fixed_size_binary(kind):
        return f"FixedString({kind.byte_width})"
    if kind not in PLAIN:
        raise ValueError(f"no type of ClickHouse for {kind}")
    return PLAIN[kind]


def _prefix(kind: pa.DataType) -> bytes:
    """What stands before all data of a column, of what it is made of too."""
    if pa.types.is_dictionary(kind):
        return struct.pack("<Q", LOW_CARDINALITY_VERSION)
    if pa.types.is_map(kind):
        return _prefix(kind.key_type) + _prefix(kind.item_type)
    return b""


def _data(array: pa.Array) -> Iterator[bytes]:
    """The values of an array that is not empty; where one is null, anything."""
    if pa.types.is_dictionary(array.type):
        yield from _coded(array)
    elif pa.types.is_map(array.type):
        ends = array.offsets.to_numpy()
        yield (ends[1:] - ends[0]).astype("<u8").tobytes()
        if size := int(ends[-1] - ends[0]):
            items = array.items.slice(ends[0], size)
            if items.null_count:
                raise ValueError("a Map with a null in it")
            yield from _data(array.keys.slice(ends[0], size))
            yield from _data(items)
    elif pa.types.is_string(array.type):
        yield _texts(array)
    elif pa.types.is_boolean(array.type):
        yield array.fill_null(False).to_numpy(zero_copy_only=False).tobytes()
    else:
        width = array.type.bit_width // 8
        yield array.buffers()[1].slice(array.offset * width, len(array) * width).to_pybytes()


def _coded(array: pa.DictionaryArray) -> Iterator[bytes]:
    keys = len(array.dictionary)
    number, width = next((number, width) for number, (most, width) in enumerate(CODES) if keys <= most)
    yield struct.pack("<QQ", OWN_DICTIONARY | number, keys)
    yield from _data(array.dictionary)
    yield struct.pack("<Q", len(array)) + array.indices.to_numpy().astype(width).tobytes()


def _texts(array: pa.StringArray) -> bytes:
    """Each text after the number of its bytes."""
    values = array.fill_null("").cast(pa.binary())
    sizes = pc.binary_length(values).dictionary_encode()
    heads = pa.array([_varint(size) for size in sizes.dictionary.to_pylist()], pa.binary()).take(sizes.indices)
    joined = pc.binary_join_element_wise(heads, values, b"")
    _, ends, data = joined.buffers()
    first, last = np.frombuffer(ends, dtype="<i4")[[joined.offset, joined.offset + len(joined)]].tolist()
    text: bytes = data.slice(first, last - first).to_pybytes()
    return text


def _text(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
