"""What `spendstream replay` left in a folder, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from schemas.base import Contract
from schemas.watch import DIMENSIONS, Alert, Finding

T = TypeVar("T", bound=Contract)

TEXTS = (*DIMENSIONS, "type", "currency", "allocation", "sku", "resource", "operation", "workload")
OTHERS = (
    "time", "period_start", "period_end", "requests", "input_tokens", "output_tokens", "gpu_minutes", "effective_cost",
    "effective_cost_usd", "estimated_cost", "part",
)  # fmt: skip


class RunError(ValueError):
    """A folder is not what a replay left. The message names the file and the problem."""


@dataclass(frozen=True, slots=True)
class Run:
    """The outputs of one replay. `charges` has the columns TEXTS (dictionaries) and OTHERS."""

    folder: Path
    summary: dict[str, Any]
    charges: pa.Table
    findings: list[Finding]
    alerts: list[Alert]


def load(folder: Path) -> Run:
    """Read a run. Raises RunError."""
    if not folder.is_dir():
        raise RunError(f"{folder}: is no folder of a replay")
    summary = _read(folder / "summary.json", json.loads)
    if not isinstance(summary, dict) or "events_read" not in summary:
        raise RunError(f"{folder / 'summary.json'}: is no summary of a replay")
    path = folder / "charges.parquet"
    try:
        charges = pq.read_table(path, columns=[*TEXTS, *OTHERS], read_dictionary=list(TEXTS)).unify_dictionaries()
    except FileNotFoundError:
        raise RunError(f"{path}: does not exist; spendstream replay writes it when it is run to its end") from None
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: can't be read ({error})") from None
    missing = [name for name in (*TEXTS, *OTHERS) if name not in charges.column_names]
    if missing:
        raise RunError(f"{path}: has no column {', '.join(missing)}")
    return Run(folder, summary, charges, _lines(folder, "findings", Finding), _lines(folder, "alerts", Alert))


def _lines(folder: Path, name: str, kind: type[T]) -> list[T]:
    path = folder / f"{name}.ndjson"
    found = []
    for number, line in enumerate(_read(path, str.splitlines), start=1):
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, fault["loc"]))
            raise RunError(f"{path}: line {number}: {place}: {fault['msg']}") from None
    return found


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: does not exist; spendstream replay writes it when it is run to its end") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: can't be read ({error})") from None
