"""The SQL of the console, each query in a file of its own, and what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

FOLDER = Path(__file__).parent / "sql"
Row = dict[str, Any]


class Queries(Protocol):
    """What is needed of the store. It blocks, and raises StoreError."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]: ...


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def ask(store: Queries, name: str, **parameters: Any) -> list[Row]:
    """The rows of a query by its name."""
    return store.query(sql(name), parameters)
