"""The numbered SQL of `schemas/sql`, applied in order and once. Files may be run again after a crash in the middle."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
HORIZON = "toIntervalDay({days:d})"  # as ClickHouse shows it too; a bound value would be shown as a cast


class MigrationError(Exception):
    """The tables and this release do not fit each other. The message says which and what mends it."""


class Database(Protocol):
    """What migrations need of a store."""

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None: ...
    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]: ...
    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, digest of its text, and statements in order."""

    version: int
    name: str
    sha256: str
    statements: tuple[str, ...]


def shipped() -> tuple[Migration, ...]:
    """All migrations of this release, in order."""
    folder = files("schemas").joinpath("sql")
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".sql")}
    return parse(texts)


def parse(texts: Mapping[str, str]) -> tuple[Migration, ...]:
    """File names and texts as migrations. Raises MigrationError on a bad name or a number used twice."""
    migrations: dict[int, Migration] = {}
    for name in sorted(texts):
        match = NAME.fullmatch(name)
        if match is None:
            raise MigrationError(f"schemas/sql/{name}: must be named NNN_name.sql in small letters")
        version = int(match[1])
        if version in migrations:
            raise MigrationError(f"schemas/sql/{name}: number {version:03} is taken by {migrations[version].name}")
        digest = hashlib.sha256(texts[name].encode()).hexdigest()
        statements = tuple(part.strip() for part in STATEMENT_END.split(texts[name]) if part.strip())
        migrations[version] = Migration(version, name, digest, statements)
    return tuple(migrations.values())


def pending(database: Database, migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """What is not applied yet. Raises MigrationError when an applied file has changed or is newer than this release."""
    known = {migration.version: migration for migration in migrations}
    applied = {row["version"]: row for row in database.query("SELECT version, name, sha256 FROM schema_migrations")}
    for version, row in sorted(applied.items()):
        if version not in known:
            raise MigrationError(
                f"the database has {row['name']}, which this release does not know: run a release that has it"
            )
        if known[version].sha256 != row["sha256"]:
            raise MigrationError(
                f"schemas/sql/{known[version].name} was changed after it was applied: restore the file as released, "
                "and put the change into a new file with the next number"
            )
    return tuple(migration for version, migration in sorted(known.items()) if version not in applied)


def migrate(database: Database, migrations: Sequence[Migration], seen_days: int) -> tuple[str, ...]:
    """Bring the tables up to `migrations` and the dedup horizon to `seen_days`. Returns the names of the files applied.

    The file with the lowest number makes the table that records them, so it runs each time.
    """
    for statement in migrations[0].statements:
        database.command(statement)
    todo = pending(database, migrations)
    for migration in todo:
        for statement in migration.statements:
            database.command(statement)
        database.insert("schema_migrations", _row(migration), token=migration.name)
    _set_horizon(database, seen_days)
    return tuple(migration.name for migration in todo)


def _row(migration: Migration) -> dict[str, list[Any]]:
    return {"version": [migration.version], "name": [migration.name], "sha256": [migration.sha256]}


def _set_horizon(database: Database, days: int) -> None:
    horizon = HORIZON.format(days=days)
    sql = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'seen'"
    if not any(horizon in row["engine_full"] for row in database.query(sql)):
        database.command(f"ALTER TABLE seen MODIFY TTL claimed_at + {horizon}")
