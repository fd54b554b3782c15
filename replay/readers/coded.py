"""Columns of text by their distinct values. A bill says most things on very many rows: each is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.readers.values import MISSING, Row
from streams.core.decode import Rejected

NOTHING, ODD = -1, -2
"""Codes that are no place: the cell holds nothing; what it comes to can be told row by row only."""
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
_MISSING = pa.array(sorted(MISSING), pa.string())


class Coded(NamedTuple):
    """A column: values, and for each row the place of its own among them, or one of the codes above."""

    values: pa.StringArray
    codes: Codes

    def mapped(self, change: Callable[[str], str | None]) -> Coded:
        """Each value changed; None is nothing."""
        return self.placed([change(value) for value in self.values.to_pylist()])

    def placed(self, changed: Sequence[str | None]) -> Coded:
        """The column with other values at the places of its own; None is nothing."""
        codes = self.codes
        if None in changed:
            none = np.array([value is None for value in changed])
            codes = np.where(flagged(none, codes), NOTHING, codes).astype(np.int32)
        return Coded(pa.array(changed, pa.string()), codes)

    def odd_where(self, mask: Mask) -> Coded:
        """The column, odd in the rows of the mask."""
        return Coded(self.values, np.where(mask, ODD, self.codes).astype(np.int32))


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
            found = Coded(pa.concat_arrays([found.values, other.values]), codes)
    return found


def combined(cells: Cells, names: Sequence[str], read: Callable[[Row], str | None], rows: int) -> Coded:
    """What `read` makes of each distinct combination of these columns; odd where it refuses one."""
    there = [name for name in names if name in cells]
    keys = np.zeros(rows, np.int64)
    for name in there:
        _, packed = np.unique(keys, return_inverse=True)  # few again, so that the product stays small
        keys = packed * (len(cells[name].values) + 2) + (cells[name].codes + 2)
    distinct, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    texts = {name: cells[name].values for name in there}
    made: list[str | None] = []
    odd = np.zeros(len(distinct), np.bool_)
    for place, at in enumerate(first.tolist()):
        row = {name: texts[name][code].as_py() for name in there if (code := int(cells[name].codes[at])) >= 0}
        try:
            made.append(read(row))
        except Rejected:
            odd[place] = True
            made.append(None)
    column = Coded(pa.nulls(0, pa.string()), codes.astype(np.int32)).placed(made)
    return column.odd_where(odd[codes])


def chosen(by: Coded, sources: Callable[[str], Coded | None]) -> Coded:
    """In each row the column that the row's value of `by` stands for; odd where that is None, or `by` holds nothing."""
    values: list[pa.StringArray] = []
    codes = np.full(len(by.codes), ODD, np.int32)
    offset = 0
    for place, value in enumerate(by.values.to_pylist()):
        source = sources(value)
        here = by.codes == place
        if source is None or not here.any():
            continue
        codes = np.where(here, np.where(source.codes >= 0, source.codes + offset, source.codes), codes)
        values.append(source.values)
        offset += len(source.values)
    return Coded(pa.concat_arrays(values) if values else pa.nulls(0, pa.string()), codes.astype(np.int32))
