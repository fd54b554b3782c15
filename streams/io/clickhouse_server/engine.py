"""The ClickHouse engine in this process: one path, any number of threads, each statement in a session of its own."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import chdb

UNKNOWN_ERROR = 1002  # ClickHouse's UNKNOWN_EXCEPTION
CODE = re.compile(r"Code: (\d+)\. ")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BAD_ARGUMENTS = 36
INSERT = re.compile(rb"\A(\s*INSERT\s+INTO\s.{1,65536}?)\s(FORMAT\s+\w+)[ \t\r]*\n", re.IGNORECASE | re.DOTALL)


class EngineError(Exception):
    """A statement failed. `code` is ClickHouse's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, the data of an insert behind it where there is some, and what holds for this statement alone."""

    sql: bytes
    database: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    format: str = "TabSeparated"  # where the SQL names none


class Engine:
    """Open while inside `with`. Raises EngineError when another process has the path."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._keeper: Any = None

    def __enter__(self) -> Self:
        try:
            self._keeper = _session(self._path)  # a session held open: the engine lives as long as one is
        except RuntimeError as error:
            raise EngineError(_code(str(error)), str(error)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.close()

    def run(self, statement: Statement) -> bytes:
        """Run it and return its result. May be called by many threads at once. Raises EngineError."""
        session = _session(self._path)  # 0.3 ms; settings of one statement can't reach another
        try:
            if statement.database:
                session.query(f"USE {_quoted_name(statement.database)}", "TabSeparated")
            if statement.settings:
                session.query(f"SET {_assignments(statement.settings)}", "TabSeparated")
            return _run(session, statement)
        except RuntimeError as error:
            raise EngineError(_code(str(error)), str(error)) from None
        finally:
            session.close()


def _session(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]


def _run(session: Any, statement: Statement) -> bytes:
    """An insert's data goes through a file: behind its SQL the engine takes an empty line in it for its end."""
    insert = INSERT.match(statement.sql)
    if insert is None or insert.end() == len(statement.sql):
        return _bytes(session.query(statement.sql, statement.format, params=dict(statement.parameters)))
    with tempfile.NamedTemporaryFile(suffix=".data") as file:
        file.write(memoryview(statement.sql)[insert.end() :])
        file.flush()
        sql = insert[1] + b" FROM INFILE '" + file.name.encode() + b"' " + insert[2]
        return _bytes(session.query(sql, statement.format, params=dict(statement.parameters)))


def _bytes(result: Any) -> bytes:
    return bytes(result.bytes() or b"")


def _code(text: str) -> int:
    found = CODE.search(text)
    return int(found[1]) if found else UNKNOWN_ERROR


def _quoted_name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _assignments(settings: Mapping[str, str]) -> str:
    wrong = [name for name in settings if not NAME.fullmatch(name)]
    if wrong:
        raise EngineError(BAD_ARGUMENTS, f"Code: {BAD_ARGUMENTS}. DB::Exception: no setting has the name {wrong[0]!r}")
    return ", ".join(f"{name} = {_quoted_text(value)}" for name, value in settings.items())


def _quoted_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
