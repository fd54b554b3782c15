"""Columns of text by their distinct values. A bill says most things on very many rows: each is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.readers.values import MISSING, Row, given
from streams.core.usage.decode import Rejected

NOTHING, ODD = -1, -2
"""Codes that are no place: the cell holds nothing; what it comes to can be told row by row only."""
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
_MISSING = pa.array(sorted(MISSING), pa.string())


class Coded(NamedTuple):
    """A column: values, and for each row the place of its own among them, or one of the codes above."""

    values: pa.StringArray
    codes: Codes
    plain: Sequence[Any] | None = None  # the values as they are in Parquet, where not all of them are text

    def mapped(self, change: Callable[[str], str | None]) -> Coded:
        """Each text changed; None is nothing, and what is no text is odd."""
        return self.only_text().placed([change(value) for value in self.values.to_pylist()])

    def whole(self, change: Callable[[Any], str | None]) -> Coded:
        """Each value changed, text or not; None is nothing."""
        values = self.values.to_pylist() if self.plain is None else self.plain
        return self.placed([change(value) for value in values])

    def only_text(self) -> Coded:
        """The column, odd where its value is no text."""
        if self.plain is None:
            return self
        odd = np.array([not isinstance(value, str) for value in self.plain], np.bool_)
        return Coded(self.values, self.codes).odd_where(flagged(odd, self.codes))

    def only_numbers(self) -> Coded:
        """The column, odd where its value is neither text nor a number."""
        if self.plain is None:
            return self
        odd = np.array([type(value) not in {str, int, float} for value in self.plain], np.bool_)
        return Coded(self.values, self.codes).odd_where(flagged(odd, self.codes))

    def placed(self, changed: Sequence[str | None]) -> Coded:
        """The column with other values at the places of its own; None is nothing."""
        codes = self.codes
        if None in changed:
            none = np.array([value is None for value in changed])
            codes = np.where(flagged(none, codes), NOTHING, codes).astype(np.int32)
        return Coded(pa.array(changed, pa.string()), codes)

    def odd_where(self, mask: Mask) -> Coded:
        """The column, odd in the rows of the mask."""
        return Coded(self.values, np.where(mask, ODD, self.codes).astype(np.int32), self.plain)


Cells = Mapping[str, Coded]
"""Rows of a file by column."""
Fields = dict[str, Coded]
"""Line items by the names of `schemas.events.LineItem`, as a mapper would give them; tags as JSON."""


def flagged(values: Mask, codes: Codes) -> Mask:
    """The rows whose value is flagged; those without a value are not."""
    return np.append(values, (False, False))[codes]  # which the codes that are no place find, from the end


def coded(cells: Sequence[str]) -> Coded:
    """A column as it stands in the file."""
    encoded = pa.array(cells, pa.string()).dictionary_encode()
    codes: Codes = encoded.indices.to_numpy()
    missing = pc.is_in(encoded.dictionary, value_set=_MISSING).to_numpy(zero_copy_only=False)
    if missing.any():
        codes = np.where(missing[codes], NOTHING, codes).astype(np.int32)
    return Coded(encoded.dictionary, codes)


def coded_values(values: Sequence[Any], codes: Sequence[int]) -> Coded:
    """A column of distinct values as JSON knows them."""
    texts = [str(value) if isinstance(value, str | int | float) else "" for value in values]
    missing = np.array([not given(value) for value in values], np.bool_)
    places = np.array(codes, np.int32)
    column = Coded(pa.array(texts, pa.string()), np.where(flagged(missing, places), NOTHING, places).astype(np.int32))
    if all(isinstance(value, str) for value, not_there in zip(values, missing.tolist(), strict=True) if not not_there):
        return column
    return Coded(column.values, column.codes, values)


def constant(value: str, rows: int) -> Coded:
    """The same on every row."""
    return Coded(pa.array([value]), np.zeros(rows, np.int32))


def first_of(cells: Cells, names: Sequence[str]) -> Coded | None:
    """The first of several columns that holds something; None where the file has none of them."""
    there = [cells[name] for name in names if name in cells]
    if not there:
        return None
    found, *others = there
    for other in others:
        if (found.codes == NOTHING).any():
            codes = np.where(other.codes >= 0, other.codes + len(found.values), other.codes)
            codes = np.where(found.codes == NOTHING, codes, found.codes).astype(np.int32)
            found = Coded(pa.concat_arrays([found.values, other.values]), codes, _plain([found, other]))
    return found


def combined(cells: Cells, names: Sequence[str], read: Callable[[Row], str | None], rows: int) -> Coded:
    """What `read` makes of each distinct combination of these columns; odd where it refuses one."""
    there = [name for name in names if name in cells]
    keys = np.zeros(rows, np.int64)
    for name in there:
        _, packed = np.unique(keys, return_inverse=True)  # few again, so that the product stays small
        keys = packed * (len(cells[name].values) + 2) + (cells[name].codes + 2)
    distinct, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    texts = {name: list(cells[name].values.to_pylist()) for name in there}
    texts |= {name: list(column.plain) for name in there if (column := cells[name]).plain is not None}
    made: list[str | None] = []
    odd = np.zeros(len(distinct), np.bool_)
    for place, at in enumerate(first.tolist()):
        row = {name: texts[name][code] for name in there if (code := int(cells[name].codes[at])) >= 0}
        try:
            made.append(read(row))
        except Rejected:
            odd[place] = True
            made.append(None)
    column = Coded(pa.nulls(0, pa.string()), codes.astype(np.int32)).placed(made)
    return column.odd_where(odd[codes])


def chosen(by: Coded, sources: Callable[[str], Coded | None]) -> Coded:
    """In each row the column that the row's value of `by` stands for; odd where that is None, or `by` holds nothing."""
    values: list[Coded] = []
    codes = np.full(len(by.codes), ODD, np.int32)
    offset = 0
    for place, value in enumerate(by.values.to_pylist()):
        source = sources(value)
        here = by.only_text().codes == place
        if source is None or not here.any():
            continue
        codes = np.where(here, np.where(source.codes >= 0, source.codes + offset, source.codes), codes)
        values.append(source)
        offset += len(source.values)
    texts = [source.values for source in values]
    return Coded(pa.concat_arrays(texts) if texts else pa.nulls(0, pa.string()), codes.astype(np.int32), _plain(values))


def _plain(columns: Sequence[Coded]) -> Sequence[Any] | None:
    if all(column.plain is None for column in columns):
        return None
    return [
        value for column in columns for value in (column.values.to_pylist() if column.plain is None else column.plain)
    ]
