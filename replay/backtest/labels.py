"""Known incidents, to hold alerts against: our own `labels.json`, the Numenta benchmark's windows, or a CSV.

The CSV has the columns `series,start,end,kind` and may have `excess_usd` (what it cost), `expect` (`alert`, the
default: must page; `finding`: must be recorded; `silence`: must not page) and `id`. A series is
`team=search;model=gpt-4o`, or empty for one that nobody has narrowed down. Times without a zone are UTC; a day as `end`
is that whole day.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from schemas.watch import DIMENSIONS

Expect = Literal["alert", "finding", "silence"]
EXPECTATIONS: tuple[Expect, ...] = ("alert", "finding", "silence")
NEEDED = ("series", "start", "end", "kind")
DAY_LENGTH = len("2026-11-01")


class LabelError(ValueError):
    """A file of labels can't be used. The message names the file, the place, the field and the problem."""


@dataclass(frozen=True, slots=True)
class Label:
    """One known incident, or one stretch that must stay quiet. `excess_usd` None: nobody knows what it cost."""

    name: str
    kind: str
    series: Mapping[str, str]
    start: datetime
    end: datetime
    expect: Expect = "alert"
    excess_usd: float | None = None

    def fits(self, series: Mapping[str, str]) -> bool:
        """Whether no dimension that both name differs; what one names as empty the other may leave out."""
        return all((self.series[name] or "") == (series[name] or "") for name in self.series.keys() & series.keys())


@dataclass(frozen=True, slots=True)
class Truth:
    """The labels of a history. `warmup_days` None: the labels don't say how much of the history is for learning."""

    labels: tuple[Label, ...]
    warmup_days: float | None = None


Windows = Mapping[str, tuple[Label, ...]]
"""The labels of many metrics, by the path of each below `data/`."""


def load(path: Path) -> Truth | Windows:
    """Read labels. Raises LabelError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: can't be read ({error})") from None
    if not text.lstrip().startswith("{"):
        return Truth(tuple(_of_csv(path, text)))
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise LabelError(f"{path}: is no JSON ({error})") from None
    if isinstance(whole.get("labels"), list):
        return _ours(path, whole)
    return {name: tuple(_numenta(path, name, spans)) for name, spans in whole.items()}


def _ours(path: Path, whole: Mapping[str, Any]) -> Truth:
    labels = [_label(f"{path}: label {number}", each) for number, each in enumerate(whole["labels"], start=1)]
    try:
        warmup = float(whole.get("warmup_days") or 0)
    except (TypeError, ValueError):
        raise LabelError(f"{path}: warmup_days: must be a number of days") from None
    return Truth(tuple(labels), warmup)


def _numenta(path: Path, name: str, spans: object) -> Iterable[Label]:
    if not isinstance(spans, list):
        raise LabelError(f"{path}: {name}: must be a list of [start, end]")
    for number, span in enumerate(spans):
        if not isinstance(span, list) or len(span) != 2:
            raise LabelError(f"{path}: {name}: window {number + 1} must be [start, end]")
        row = {"start": span[0], "end": span[1], "kind": "anomaly", "series": {}, "id": f"{name}#{number + 1}"}
        yield _label(f"{path}: {name}: window {number + 1}", row)


def _of_csv(path: Path, text: str) -> Iterable[Label]:
    rows = csv.DictReader(text.splitlines(), strict=True)
    missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise LabelError(f"{path}: no column {', '.join(missing)}; a CSV of incidents has {','.join(NEEDED)}")
    try:
        for number, row in enumerate(rows, start=2):
            where = f"{path}: row {number}"
            if None in row or None in row.values():
                raise LabelError(f"{where}: has another number of cells than the header")
            yield _label(where, {**row, "series": _series(where, row["series"])})
    except csv.Error as error:
        raise LabelError(f"{path}: row {rows.line_num}: {error}") from None


def _series(where: str, cell: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in cell.split(";") if pair.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise LabelError(f"{where}: series: must be like team=search;model=gpt-4o")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _label(where: str, row: Mapping[str, Any]) -> Label:
    series = row.get("series")
    if not isinstance(series, dict):
        raise LabelError(f"{where}: series: must be an object of dimension and value")
    unknown = sorted(set(series) - set(DIMENSIONS))
    if unknown:
        raise LabelError(
            f"{where}: series: no such dimension: {', '.join(unknown)} (there are {', '.join(DIMENSIONS)})"
        )
    start, end = (_time(where, name, row.get(name)) for name in ("start", "end"))
    if end <= start:
        raise LabelError(f"{where}: end: must be after start")
    expect = row.get("expect") or "alert"
    if expect not in EXPECTATIONS:
        raise LabelError(f"{where}: expect: must be one of {', '.join(EXPECTATIONS)}")
    kind = str(row.get("kind") or "incident")
    name = str(row.get("id") or f"{kind} {start:%Y-%m-%d %H:%M}")
    return Label(name, kind, series, start, end, expect, _usd(where, row.get("excess_usd")))


def _time(where: str, field: str, value: object) -> datetime:
    text = str(value or "").strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise LabelError(f"{where}: {field}: must be a day or a time such as 2026-11-01T09:00:00Z") from None
    if field == "end" and len(text) <= DAY_LENGTH:
        time += timedelta(days=1)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _usd(where: str, value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        amount = abs(float(str(value)))
    except ValueError:
        raise LabelError(f"{where}: excess_usd: must be a number") from None
    if not amount < float("inf"):
        raise LabelError(f"{where}: excess_usd: must be finite")
    return amount
