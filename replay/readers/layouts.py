"""What a layout is: how it is told by its columns, and how a row of it becomes events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from replay.readers.coded import Cells, Fields
from replay.readers.values import Row
from schemas.events import LINE_ITEM

Columns = frozenset[str]


class Draft(NamedTuple):
    """An event that a row became, before it has an identity. `time` is RFC 3339, None where the row has none."""

    type: str  # of `schemas.events.EventType`
    time: object
    data: dict[str, object]
    id: str = ""  # the row's own, of a layout that is `named`


Mapper = Callable[[Row], Iterable[Draft]]
"""From a row to its events. Raises Rejected, and nothing else, on a row that can be none."""


ByColumn = Callable[[Cells, int], Fields]
"""From so many rows by column to line items by column: where it says anything but odd, what the mapper says."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of export. `mapper` makes a mapper for one file, since some must remember the rows before."""

    name: str
    tells: Callable[[Columns], bool]
    mapper: Callable[[], Mapper]
    source: str  # the CloudEvents `source` of its events
    lower: bool = False  # its column names come in any case: the mapper sees them in lower case
    named: bool = False  # its rows have ids, so that the same id again is the same event
    by_column: ByColumn | None = None  # of a layout whose ordinary rows are a line item each


def bill(
    name: str,
    tells: Callable[[Columns], bool],
    read: Callable[[Row], dict[str, object]],
    lower: bool = False,
    by_column: ByColumn | None = None,
) -> Layout:
    """A layout of which each row is one line item."""

    def lines(row: Row) -> Iterable[Draft]:
        return (line_item(read(row)),)

    return Layout(name, tells, lambda: lines, f"/bills/{name}", lower, by_column=by_column)


def line_item(data: dict[str, object]) -> Draft:
    """A line item happened when its charge period began."""
    return Draft(LINE_ITEM, data.get("ChargePeriodStart"), data)


def has(*names: str) -> Callable[[Columns], bool]:
    """Tells a layout by columns that it alone has."""
    marks = frozenset(names)
    return lambda columns: marks <= columns
