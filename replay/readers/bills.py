"""Bills: FOCUS as CSV or Parquet, and AWS Cost and Usage Reports in their three spellings of column names.

A row's id is a hash of its content and of how often that content has come before in the file: the same bill loaded
again, under whatever name, is duplicates and nothing else.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from replay.readers import cur
from replay.readers.base import Item, ReaderError, opened
from schemas.events import LINE_ITEM, LineItem

Row = Mapping[str, Any]
Event = dict[str, object]

MISSING = frozenset({"", "NULL", "null", "None"})  # how exports spell what is not there
FOCUS_COLUMNS = tuple(
    dict.fromkeys([*LineItem.model_fields, "ProviderName", "PublisherName"])  # the last two are FOCUS 1.0 to 1.3
)


def focus_data(row: Row) -> dict[str, object]:
    """The FOCUS columns of a row; their names are the event's own. Times without a zone are UTC, as FOCUS says."""
    data: dict[str, object] = {}
    for name in FOCUS_COLUMNS:
        value = row.get(name)
        if value is None or value in MISSING:
            continue
        if name == "Tags":
            value = tags(value)
        elif name.endswith(("Start", "End")):
            value = moment(value)
        data[name] = value
    return data


LAYOUTS: dict[str, tuple[frozenset[str], Callable[[Row], dict[str, object]]]] = {
    "focus": (frozenset({"BilledCost", "BillingCurrency", "ChargePeriodStart"}), focus_data),
    **{f"aws-cur-{name}": (marks, reader) for name, (marks, reader) in cur.LAYOUTS.items()},
}


def layout(header: str) -> str | None:
    """Which layout a CSV header line is of, None when none."""
    return _layout_of(next(csv.reader([header]), []))


def _layout_of(columns: Iterable[str]) -> str | None:
    names = set(columns)
    return next((name for name, (marks, _) in LAYOUTS.items() if marks <= names), None)


def read_csv(path: Path) -> Iterator[Item]:
    """Every row of a CSV bill."""
    with opened(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        yield from _events(path, rows.fieldnames or [], rows)


def read_parquet(path: Path) -> Iterator[Item]:
    """Every row of a Parquet bill, a batch of rows at a time."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ReaderError(f"{path}: is no readable Parquet file ({error})") from None
    rows = (row for batch in file.iter_batches(batch_size=10_000) for row in batch.to_pylist())
    yield from _events(path, file.schema_arrow.names, rows)


def _events(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> Iterator[Item]:
    name = _layout_of(columns)
    if name is None:
        raise ReaderError(f"{path}: its columns are of no known bill layout ({', '.join(LAYOUTS)})")
    to_data = LAYOUTS[name][1]
    seen: Counter[bytes] = Counter()
    for number, row in enumerate(rows, start=2):  # the header is row 1, as an editor counts
        digest = blake2b(orjson.dumps(list(row.values()), default=str), digest_size=16).digest()
        seen[digest] += 1
        data = to_data(row)
        start = data.get("ChargePeriodStart")
        event: Event = {
            "specversion": "1.0",
            "id": f"{digest.hex()}-{seen[digest]}",
            "source": f"/bills/{name}",
            "type": LINE_ITEM,
            "time": start,
            "data": data,
        }
        yield Item(row=number, event=event, time=_seconds(start))


def _seconds(start: object) -> float | None:
    try:
        return datetime.fromisoformat(str(start)).timestamp()
    except ValueError:
        return None


def moment(value: object) -> str:
    """A time as RFC 3339 in UTC; text that is none is passed on, to be refused with its field's name."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    try:
        time = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
    except ValueError:
        return str(value)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def tags(value: object) -> dict[str, str]:
    """A FOCUS Tags cell: JSON text, or what Parquet makes of a map. What is neither is no tags."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    if isinstance(value, list):
        value = dict(value)
    if not isinstance(value, dict):
        return {}
    return {str(key): "" if text is None else str(text) for key, text in value.items()}
