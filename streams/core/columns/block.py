"""Charges by column: what the charges of many events have in common stands once, the rest in Arrow arrays.

A record of 500 calls says most things 500 times: provider, currency, the owner's team. From `price` on, charges go
through the stages as they are here, and no stage makes an object of each. Whoever wants one at a time iterates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from schemas.base import SCALE, SMALLEST, maker, plain_decimal
from schemas.records import Charge, PriceStatus
from streams.core.columns.amounts import MONEY, amounts

TIME = pa.timestamp("us", tz="UTC")
IDENTITY = pa.binary(16)
DIGITS = 38  # of a column of money; some bills carry 18 decimals
EXACT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
CACHED = 16_384
WASTE = 2  # so many times the charges a dictionary may have texts
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
TEXT = pa.dictionary(pa.int32(), pa.string())
PRICES = frozenset({"counts", "unit_prices"})  # mappings of decimals
MAPPINGS = PRICES | {"price_context", "tags"}

Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


# One for all: to make one takes microseconds. Of a buffer, for `pa.array` would look for pandas while this is imported.
_NOBODY = pa.Array.from_buffers(IDENTITY, 0, [None, pa.py_buffer(b"")])


class Unfit(ValueError):  # noqa: N818  an outcome, not an error of ours
    """A charge can't be put into columns. The text names the field and its problem, never the content."""


def _kind(name: str, annotation: Any) -> pa.DataType:
    """The type of a field's column as tables and files have it."""
    if name in MAPPINGS:
        return pa.map_(pa.string(), MONEY if name in PRICES else pa.string())
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), Decimal: MONEY, datetime: TIME}
    for part in (annotation, *get_args(annotation), *chain.from_iterable(map(get_args, get_args(annotation)))):
        if part in types:
            return types[part]
    return pa.string()  # enumerations and literals


KINDS: dict[str, pa.DataType] = {name: _kind(name, field.annotation) for name, field in Charge.model_fields.items()}
SCHEMA = pa.schema(list(KINDS.items()))
"""The columns of charges, in the order of `schemas.records.Charge`; money as decimals of 18 places."""

DECIMALS = frozenset(name for name, kind in KINDS.items() if kind == MONEY)
TIMES = frozenset(name for name, kind in KINDS.items() if kind == TIME)
COUNTS = frozenset(name for name, kind in KINDS.items() if kind == pa.int64())
TEXTS = frozenset(name for name, kind in KINDS.items() if kind == pa.string())
UNIQUE = frozenset({"id", "resource", "resource_name", "charge_description"})  # texts of which most stand once
DEFAULTS = {
    name: field.get_default(call_default_factory=True)
    for name, field in Charge.model_fields.items()
    if not field.is_required()
}
REQUIRED = frozenset(Charge.model_fields) - DEFAULTS.keys()
_NO_DEFAULT = object()
# Columns that often equal another one: they are then the very same array, and stand once wherever they are written.
TWINS: dict[str, tuple[str, ...]] = {
    "period_start": ("time",),
    "period_end": ("time",),
    "service": ("provider",),
    "contracted_cost": ("list_cost",),
    "effective_cost": ("contracted_cost", "list_cost"),
    "billed_cost": ("effective_cost", "contracted_cost", "list_cost"),
    "effective_cost_usd": ("effective_cost",),
}


@dataclass(slots=True, eq=False)
class Block:
    """`count` charges. A field is in `same` where all share its value, else in `columns`; in neither it is its default.

    Texts are in columns as dictionaries or plain, mappings as dictionaries of their JSON text. `records` numbers the
    usage record that each charge is from, never falling; `identities` says of which event each is a part.
    """

    count: int
    same: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, pa.Array] = field(default_factory=dict)
    records: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    identities: pa.Array = field(default_factory=lambda: _NOBODY)

    @classmethod
    def of(cls, charges: Sequence[Charge], records: Sequence[int]) -> Block:
        """The block of these charges. Raises Unfit when a value fits no column."""
        block = cls(len(charges), records=np.array(records, dtype=np.int64))
        block.identities = identities_of([charge.source for charge in charges], [charge.id for charge in charges])
        contents = [charge.__dict__ for charge in charges]
        varying: dict[str, list[Any]] = {}
        for name in Charge.model_fields if contents else ():
            column = [content[name] for content in contents]
            first = column[0]
            if len(column) == 1 or column.count(first) == len(column):
                block._share(name, _fitting(name, first))
                continue
            twin = next((other for other in TWINS.get(name, ()) if varying.get(other) == column), None)
            block.columns[name] = _array(name, column) if twin is None else block.columns[twin]
            varying[name] = column
        return block

    def __eq__(self, other: object) -> bool:
        """Whether they hold the same charges, whatever stands in columns."""
        if not isinstance(other, Block) or self.count != other.count:
            return False
        named = np.array_equal(self.records, other.records) and self.identities.equals(other.identities)
        return named and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Charge]:
        """The charges as objects. No two share a mapping."""
        names = tuple(self.columns)
        columns = [self.values(name) for name in names]
        shared = self.same
        mappings = [name for name in MAPPINGS if name in shared or name in self.columns]
        for row in zip(*columns, strict=True) if names else ((),) * self.count:
            content = shared | dict(zip(names, row, strict=True))
            for name in mappings:
                content[name] = dict(content[name])
            yield _charge(content)

    def _share(self, name: str, value: Any) -> None:
        if value != DEFAULTS.get(name, _NO_DEFAULT):
            self.same[name] = value

    def put(self, name: str, array: pa.Array) -> None:
        """Give a field of every charge. Where all are the same it is shared."""
        if len(array) and (array[0] == array[-1] or len(array) == 1) and len(array.unique()) == 1:
            one = Block(1, columns={name: array[:1]})
            self._share(name, one.values(name)[0])
        else:
            self.columns[name] = array

    def put_coded(self, name: str, values: Sequence[Any], codes: Whole) -> None:
        """Give a field of every charge by the numbers of its values; a mapping by its text, a bool as it is."""
        first = values[0]
        if values.count(first) == len(values):
            self._share(name, mapping(name, first) if name in MAPPINGS else first)
            return
        numbers: dict[Any, int] = {}
        order = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int32)
        distinct = list(numbers)
        if name in TEXTS or name in MAPPINGS:
            self.columns[name] = pa.DictionaryArray.from_arrays(pa.array(order[codes]), pa.array(distinct, pa.string()))
        else:
            self.columns[name] = pa.array(distinct, type=KINDS[name]).take(pa.array(order[codes]))

    def shared(self, name: str) -> Any:
        """What all charges have in this field, which is in no column."""
        return self.same[name] if name in self.same else DEFAULTS.get(name)

    def values(self, name: str) -> list[Any]:
        """A field of every charge, as charges have it."""
        array = self.columns.get(name)
        if array is None:
            return [self.shared(name)] * self.count
        if name in DECIMALS:
            return amounts(array)
        if name in TIMES:
            return [moment(number) for number in array.view(pa.int64()).to_pylist()]
        values: list[Any] = array.to_pylist()
        if name in MAPPINGS:
            return [mapping(name, text) for text in values]
        if name == "price_status":
            return [PriceStatus(value) for value in values]
        return values

    def codes(self, name: str) -> tuple[Whole, list[Any]]:
        """For each charge the number of its value, and the distinct values of a text, count, bool or mapping."""
        if name not in self.columns:
            return np.zeros(self.count, dtype=np.int64), [self.shared(name)]
        coded = self.coded(name)
        values = coded.dictionary.to_pylist()
        if name in MAPPINGS:
            values = [mapping(name, text) for text in values]
        return coded.indices.to_numpy().astype(np.int64), values

    def coded(self, name: str) -> pa.DictionaryArray:
        """A text, count or bool of every charge, or the text of its mapping, as a dictionary."""
        array = self.columns.get(name)
        if array is None:
            value = self.shared(name)
            once = pa.array([mapping_text(value)] if name in MAPPINGS else [value], _held_as(name))
            return pa.DictionaryArray.from_arrays(pa.array(np.zeros(self.count, dtype=np.int32)), once)
        return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()

    def has(self, name: str, value: Any) -> Mask:
        """Which charges have this value in a field."""
        codes, values = self.codes(name)
        return np.array([one == value for one in values], dtype=np.bool_)[codes]

    def numbers(self, name: str) -> Whole:
        """A count of every charge."""
        array = self.columns.get(name)
        if array is None:
            return np.full(self.count, self.shared(name), dtype=np.int64)
        return np.asarray(array.to_numpy())

    def micros(self, name: str) -> Whole:
        """A time of every charge, in microseconds since 1970."""
        array = self.columns.get(name)
        if array is None:
            return np.full(self.count, micros(self.shared(name)) if self.count else 0, dtype=np.int64)
        return np.asarray(array.view(pa.int64()).to_numpy())

    def money(self, name: str) -> pa.Array:
        """An amount of every charge, as a column of money."""
        array = self.columns.get(name)
        return array if array is not None else _repeat(self.shared(name), MONEY, self.count)

    def column(self, name: str) -> pa.Array:
        """A field of every charge, in the type that tables and files have."""
        kind, array = KINDS[name], self.columns.get(name)
        if array is None:
            value = self.shared(name)
            if name in MAPPINGS:
                return maps(kind, [value]).take(pa.array(np.zeros(self.count, dtype=np.int64)))
            return _repeat(value, kind, self.count)
        if name in MAPPINGS:
            coded, values = self.codes(name)
            return maps(kind, values).take(pa.array(coded))
        return array.cast(kind) if pa.types.is_dictionary(array.type) else array

    def digests(self) -> npt.NDArray[np.uint64]:
        """64 bits of each charge's identity."""
        data, at = self.identities.buffers()[1], self.identities.offset
        return np.frombuffer(data, dtype="<u8")[2 * at : 2 * (at + self.count) : 2]

    def event_keys(self) -> list[bytes]:
        """The identity of each event."""
        if not self.count:
            return []
        data, at = self.identities.buffers()[1], self.identities.offset
        identities = np.frombuffer(data, dtype="V16")[at : at + self.count]  # a twentieth of what `to_pylist` takes
        keys: list[bytes] = identities[self.first_parts()].tolist()
        return keys

    def first_parts(self) -> Whole:
        """Where each event begins: its parts stand together, and the first is number 0.

        Part 0 begins another event also when it has the same identity, for then it is a duplicate.
        """
        begins = self.numbers("part") == 0
        if not begins.all():
            digests = self.digests()
            begins = begins | np.append(True, digests[1:] != digests[:-1])
        return np.flatnonzero(begins)

    def events(self) -> Whole:
        """For each charge the number of its event."""
        begins = np.zeros(self.count, dtype=np.int64)
        begins[self.first_parts()] = 1
        return np.asarray(np.cumsum(begins) - 1)

    def where(self, mask: Mask) -> Block:
        """The charges for which `mask` is true."""
        if mask.all():
            return self
        return self.take(np.flatnonzero(mask))

    def take(self, places: Whole) -> Block:
        """The charges at these places, in this order."""
        at = pa.array(places)
        taken: dict[int, pa.Array] = {}
        for array in self.columns.values():
            if id(array) not in taken:
                taken[id(array)] = array.take(at)
        columns = {name: taken[id(array)] for name, array in self.columns.items()}
        return Block(len(places), self.same, columns, self.records[places], self.identities.take(at))

    def only(self, names: frozenset[str]) -> Block:
        """The charges with these fields alone; the others are as if nobody had said them."""
        same = {name: value for name, value in self.same.items() if name in names}
        columns = {name: array for name, array in self.columns.items() if name in names}
        return Block(self.count, same, columns, self.records, self.identities)

    def dealt(self, hands: int) -> list[Block]:
        """The charges dealt to so many by the identities of their events, each hand in the order here.

        A hand gets all copies of an event, wherever they come from, and all parts of each.
        """
        to = (self.digests() % np.uint64(hands)).astype(np.min_scalar_type(hands))  # short numbers are sorted by radix
        sizes = np.bincount(to, minlength=hands)
        if sizes.max() == self.count:
            return [self if size == self.count else Block(0) for size in sizes.tolist()]
        whole = self.take(np.argsort(to, kind="stable"))  # gathered once; the hands are pieces of it
        ends = np.cumsum(sizes).tolist()
        return [whole._piece(end - size, size) for end, size in zip(ends, sizes.tolist(), strict=True)]

    def _piece(self, first: int, count: int) -> Block:
        """So many charges from one on, without a copy."""
        pieces: dict[int, pa.Array] = {}
        for array in self.columns.values() if count else ():
            if id(array) not in pieces:
                pieces[id(array)] = _lean(array.slice(first, count))
        columns = {name: pieces[id(array)] for name, array in self.columns.items()} if count else {}
        records, identities = self.records[first : first + count], self.identities.slice(first, count)
        return Block(count, self.same if count else {}, columns, records, identities)

    def table(self) -> pa.RecordBatch:
        """All columns, as `SCHEMA` has them."""
        return pa.RecordBatch.from_arrays([self.column(name) for name in KINDS], schema=SCHEMA)


def joined(blocks: Sequence[Block]) -> Block:
    """One block after the other."""
    blocks = [block for block in blocks if block.count]
    if len(blocks) <= 1:
        return blocks[0] if blocks else Block(0)
    out = Block(
        sum(block.count for block in blocks),
        records=np.concatenate([block.records for block in blocks]),
        identities=pa.concat_arrays([block.identities for block in blocks]),
    )
    made: dict[tuple[int, ...], pa.Array] = {}
    for name in Charge.model_fields:
        arrays = [block.columns.get(name) for block in blocks]
        if all(array is None for array in arrays):
            values = [block.shared(name) for block in blocks]
            if all(value == values[0] for value in values):
                out._share(name, values[0])
                continue
        key = tuple(map(id, arrays))
        if key not in made or None in arrays:
            made[key] = _concatenated(name, blocks)
        out.columns[name] = made[key]
    return out


def _held_as(name: str) -> pa.DataType:
    """What a column of this field holds."""
    return pa.string() if name in MAPPINGS else KINDS[name]


def _concatenated(name: str, blocks: Sequence[Block]) -> pa.Array:
    """A field of several blocks; texts and mappings as dictionaries."""
    arrays = [block.columns.get(name) for block in blocks]
    if all(array is not None and array.type == TEXT for array in arrays):
        return pa.concat_arrays(arrays)  # one dictionary for all, without writing out a text for each charge
    kind = _held_as(name)
    parts = []
    for block in blocks:
        array = block.columns.get(name)
        if array is None:
            value = block.shared(name)
            part = _repeat(mapping_text(value) if name in MAPPINGS else value, kind, block.count)
        else:
            part = array.cast(kind) if pa.types.is_dictionary(array.type) else array
        parts.append(part)
    whole = pa.concat_arrays(parts)
    return whole.dictionary_encode() if (name in TEXTS - UNIQUE or name in MAPPINGS) else whole


def identity_of(kind: str, *names: str) -> bytes:
    """128 bits for what `names` identify. Their lengths go in too: a name may hold any character."""
    text = "\0".join([kind, *(f"{len(name)}\0{name}" for name in names)])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def identities_of(sources: Sequence[str], names: Sequence[str]) -> pa.Array:
    """What usage events are known by, from their sources and ids: `identity_of("usage", source, id)` of each."""
    begun = {
        source: hashlib.blake2b(f"usage\0{len(source)}\0{source}\0".encode(), digest_size=16) for source in set(sources)
    }
    ends = [f"{len(name)}\0{name}".encode() for name in names]
    digests = []
    for source, end in zip(sources, ends, strict=True):
        hashed = begun[source].copy()  # takes a quarter less than to begin anew
        hashed.update(end)
        digests.append(hashed.digest())
    return pa.Array.from_buffers(IDENTITY, len(digests), [None, pa.py_buffer(b"".join(digests))])


def exact(value: Decimal) -> Decimal:
    """The value as a column of money keeps it, rounded half to even. Raises Unfit when it is too large."""
    try:
        return value.quantize(SMALLEST, context=EXACT)
    except InvalidOperation:
        raise Unfit(f"has more than {DIGITS - SCALE} digits before the point") from None


def micros(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - EPOCH) // MICROSECOND


@lru_cache(CACHED)
def moment(number: int) -> datetime:
    """The time that is so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=number)


def mapping_text(value: dict[str, Any]) -> str:
    """A mapping as text, by which equal ones are known."""
    return orjson.dumps(value, default=plain).decode()


@lru_cache(CACHED)
def mapping(name: str, text: str) -> dict[str, Any]:
    """The mapping of that text. It is for reading only. Raises ValueError on what `mapping_text` did not write."""
    value = orjson.loads(text)
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError("is no mapping of texts")
    if name not in PRICES:
        return value
    try:
        return {unit: Decimal(price) for unit, price in value.items()}
    except InvalidOperation:
        raise ValueError("is no mapping of decimals") from None


def plain(value: Any) -> str:
    """How JSON writes a decimal: in text, with every digit."""
    if isinstance(value, Decimal):
        return plain_decimal(value)
    raise TypeError


def _fitting(name: str, value: Any) -> Any:
    """A value as its column keeps it. Raises Unfit naming the field."""
    try:
        if name in DECIMALS and value is not None:
            return exact(value) if -value.as_tuple().exponent > SCALE or abs(value) >= 10 ** (DIGITS - SCALE) else value
        if name in PRICES:
            for price in value.values():
                exact(price)
        if name in TEXTS or name in MAPPINGS:
            (value if isinstance(value, str) else mapping_text(value)).encode()
    except Unfit as problem:
        raise Unfit(f"{name}: {problem}") from None
    except (UnicodeEncodeError, TypeError):
        raise Unfit(f"{name}: is no Unicode text") from None
    return value


def _array(name: str, column: list[Any]) -> pa.Array:
    """The values of a field as a column. Raises Unfit naming the field."""
    try:
        if name in TIMES:
            return pa.array([micros(time) for time in column], type=pa.int64()).cast(TIME)
        if name in MAPPINGS:
            return _mapping_array(name, column)
        array = pa.array(column, type=KINDS[name])
    except (pa.ArrowInvalid, UnicodeEncodeError, TypeError):
        array = pa.array([_fitting(name, value) for value in column], type=KINDS[name])
    return array.dictionary_encode() if name in TEXTS - UNIQUE else array


def _mapping_array(name: str, column: list[dict[str, Any]]) -> pa.Array:
    numbers: dict[Any, int] = {}
    texts: list[str] = []
    at = []
    for value in column:
        key = tuple(value.items())
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(texts)
            texts.append(mapping_text(_fitting(name, value)))
        at.append(number)
    return pa.DictionaryArray.from_arrays(pa.array(at, type=pa.int32()), pa.array(texts, type=pa.string()))


def _lean(array: pa.Array) -> pa.Array:
    """The array without the texts of a dictionary that it doesn't use, where those are many: they would be written."""
    if not pa.types.is_dictionary(array.type) or len(array.dictionary) <= WASTE * len(array):
        return array
    used, codes = np.unique(array.indices.to_numpy(), return_inverse=True)
    texts = array.dictionary.take(pa.array(used))
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), texts)


def _repeat(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, type=kind), count)


def maps(kind: pa.DataType, values: Sequence[dict[str, Any]]) -> pa.MapArray:
    """Mappings as a column of this type."""
    offsets = pa.array([0, *accumulate(map(len, values))], type=pa.int32())
    keys = pa.array(list(chain.from_iterable(values)), type=kind.key_type)
    items = list(chain.from_iterable(one.values() for one in values))
    if kind.item_type == MONEY:
        items = [exact(item) for item in items]
    return pa.MapArray.from_arrays(offsets, keys, pa.array(items, type=kind.item_type), type=kind)


_charge: Callable[[dict[str, Any]], Charge] = maker(Charge)
