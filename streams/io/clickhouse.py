"""ClickHouse: inserts that may be repeated, who may count an event, and queries with their values bound by the server.

The same calls work on a server (http, https) and on the engine inside this process (chdb). All of them block: call them
from a thread. Any number of threads may share a store.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DataError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
from urllib3.exceptions import HTTPError

from streams.core.landing.batches import Intent, Span
from streams.core.landing.land import Columns
from streams.io.migrations import Migration, migrate, pending, shipped
from streams.io.native import native
from streams.settings import ClickHouse, SettingsError

T = TypeVar("T")

INSERT_SETTINGS = {
    "async_insert": 0,  # since 26.2 it is on, and a token would not hold
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,  # off before 26.2: a retry would count twice in rollups
    "max_partitions_per_insert_block": 1000,  # a bill of many years in one batch
    # To compile what rollups sum takes a process half a second, and saves nothing in blocks of a batch's size.
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
    "materialize_skip_indexes_on_insert": 0,  # merges make them; a small part is read as fast without
}
# A server's errors that pass: timeouts, memory, too many queries or parts, disk, network, Keeper, shutting down.
PASSING = frozenset({3, 32, 95, 96, 159, 160, 198, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 319, 394,
                     425, 439, 473, 499, 574, 745, 999})  # fmt: skip
LASTING = (DataError, InterfaceError, NotSupportedError, ProgrammingError)  # errors of the driver, which have no code
MENDS = {
    60: "a table is missing: run spendstream init",
    81: "the database is missing: run spendstream init",
    516: "clickhouse.username or password is refused",
    497: "the user lacks a grant",
}
# How old the own claims of a batch are, mostly; what was claimed since is read through. A repeated claim may be older.
CLAIM_SECONDS = (30, 3_600)
DAY_SECONDS = 86_400
KEY_BYTES = 16  # of an identity (`identity_of`)
OPEN_INTENTS = """
SELECT topic, batch, groupArray((partition, first, last)) AS spans, any(of_piece.digest) AS digest,
       min(of_piece.saved_at) AS saved_at
FROM
(
    SELECT topic, partition, batch, any(first_offset) AS first, any(last_offset) AS last,
           any(land_intents.digest) AS digest, min(land_intents.saved_at) AS saved_at
    FROM land_intents
    WHERE topic = {topic:String} AND batch IN
    (
        SELECT batch FROM land_intents
        WHERE topic = {topic:String} AND partition IN {partitions:Array(Int32)}
        GROUP BY batch
        HAVING max(closed) = 0
    )
    GROUP BY topic, partition, batch
) AS of_piece
GROUP BY topic, batch
"""
# Of a key's claims the first in commit order owns it. The bound on time spares reading all parts for a batch's claims.
# Two threads would take a third more CPU for a million identities; other workers' claims are looked up beside this one.
OWNERS = """
SELECT count() AS found, groupArrayIf(key, owner != {batch:UInt64}) AS taken
FROM
(
    SELECT key, argMin(batch, _block_number) AS owner
    FROM seen
    WHERE key IN
    (
        SELECT key FROM seen
        WHERE batch = {batch:UInt64} AND claimed_at >= now() - toIntervalSecond({seconds:UInt32})
    )
    GROUP BY key
)
SETTINGS max_threads = 1
"""
# The same where a batch's claims are one block, as they mostly are (else it finds none): to group them by key takes a
# quarter more (docs/performance.md), and in one block each key stands once.
OWNERS_OF_BLOCK = """
SELECT if(first = last, own, 0) AS found,
       arrayMap(claim -> claim.1, arrayFilter(claim -> claim.2 < first, others)) AS taken
FROM
(
    SELECT countIf(batch = {batch:UInt64}) AS own,
           minIf(_block_number, batch = {batch:UInt64}) AS first, maxIf(_block_number, batch = {batch:UInt64}) AS last,
           groupArrayIf((key, _block_number), batch != {batch:UInt64}) AS others
    FROM seen
    WHERE key IN
    (
        SELECT key FROM seen
        WHERE batch = {batch:UInt64} AND claimed_at >= now() - toIntervalSecond({seconds:UInt32})
    )
)
SETTINGS max_threads = 1
"""


class StoreError(Exception):
    """A call failed. `operation` is one of a few words (a metric label); the text holds no data and no secret."""

    def __init__(self, operation: str, problem: str) -> None:
        super().__init__(f"clickhouse: {operation}: {problem}")
        self.operation = operation


class StoreAway(StoreError):  # noqa: N818  an outcome
    """It can't be reached or is overloaded; whether the call took effect is not known. Repeating it is right."""


class StoreRefused(StoreError):  # noqa: N818  an outcome
    """It will refuse again until someone mends settings, tables or this program."""


class ClickHouseStore:
    """A ClickHouse database. Nothing is opened before the first call, so that it may be away at the start."""

    def __init__(self, config: ClickHouse) -> None:
        self._config = config
        self._client: Client | None = None
        self._types: dict[tuple[str, ...], Sequence[Any]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release connections, and the path where the engine is in this process. A later call opens it again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def ping(self) -> str:
        """The server's version. Raises StoreError when it can't be used."""
        return str(self.query("SELECT version() AS version")[0]["version"])

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows as dicts. Values go in as `{name:Type}` with `parameters`, never as text of `sql`."""

        def run() -> list[dict[str, Any]]:
            return list(self._open().query(sql, parameters=dict(parameters or {})).named_results())

        return self._try("query", run)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        self._try("command", lambda: self._open().command(sql, parameters=dict(parameters or {})))

    def insert(self, table: str, columns: Columns, token: str) -> None:
        """Insert one block. Repeated with its token it adds nothing, to rollups neither; the first content counts."""
        self._try("insert", lambda: self._insert(table, columns, token))

    def claim(self, intent: Intent, keys: Iterable[bytes]) -> frozenset[bytes]:
        """Claim the events `keys` for a batch. Returns those that belong to another batch: they are duplicates.

        May be repeated, and answers the same for ever (within clickhouse.seen_days): the first claim owns.
        """
        names = list(keys)
        # As Arrow: of what is inserted as lists the driver makes a cycle, which holds all of it until it is looked for.
        batches = pa.repeat(pa.scalar(intent.batch, pa.uint64()), len(names))
        claims = pa.table({"key": pa.array(names, pa.binary(KEY_BYTES)), "batch": batches})
        self._try("claim", lambda: self._insert("seen", claims, intent.token))
        everywhere = (OWNERS, DAY_SECONDS * self._config.seen_days)
        for sql, seconds in (*((OWNERS_OF_BLOCK, seconds) for seconds in CLAIM_SECONDS), everywhere):
            owners = self.query(sql, {"batch": intent.batch, "seconds": seconds})[0]
            if owners["found"] == len(names):
                return frozenset(owners["taken"])
        raise StoreRefused("claim", f"the claims of batch {intent.token} are gone from the table seen: it was changed")

    def save_intent(self, intent: Intent) -> None:
        """Write down that a batch is about to land, before anything of it is claimed or inserted."""
        self._put_intent("save_intent", intent, closed=0)

    def close_intent(self, intent: Intent) -> None:
        """Write down that all of a batch is landed, or that it is given up."""
        self._put_intent("close_intent", intent, closed=1)

    def open_intents(self, topic: str, partitions: Iterable[int]) -> list[Intent]:
        """The batches that have something of one of these partitions, and were begun and not closed."""
        rows = self.query(OPEN_INTENTS, {"topic": topic, "partitions": list(partitions)})
        return [Intent(**{**row, "spans": tuple(sorted(Span(*span) for span in row["spans"]))}) for row in rows]

    def migrate(self) -> tuple[str, ...]:
        """Create the database and its tables, or bring them up to date. Raises MigrationError, StoreError."""
        with self._try("open", lambda: self._connect(None)) as client:
            name = {"name": self._config.database}
            self._try("command", lambda: client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", name))
        return migrate(self, shipped(), self._config.seen_days)

    def pending(self) -> tuple[Migration, ...]:
        """The migrations that `migrate` would apply. Raises MigrationError when they don't fit the database."""
        return pending(self, shipped())

    def _put_intent(self, operation: str, intent: Intent, closed: int) -> None:
        partitions, firsts, lasts = map(list, zip(*intent.spans, strict=True))
        columns: dict[str, Sequence[Any]] = {"partition": partitions, "first_offset": firsts, "last_offset": lasts}
        same = {"topic": intent.topic, "batch": intent.batch, "digest": intent.digest, "saved_at": intent.saved_at,
                "closed": closed}  # fmt: skip
        columns |= {name: [value] * len(partitions) for name, value in same.items()}
        self._try(operation, lambda: self._insert("land_intents", columns, f"{intent.token}:{closed}"))

    def _insert(self, table: str, columns: Columns, token: str) -> None:
        client = self._open()
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        if isinstance(columns, pa.Table):
            pieces, codec = native(columns), client.write_compression
            if codec is None:  # the engine in this process: it takes them one by one, all together would be new memory
                client.raw_insert(table, columns.column_names, pieces, settings, "Native")
                return
            body = pa.compress(b"".join(pieces), codec=codec, asbytes=True)
            client.raw_insert(table, columns.column_names, body, settings, "Native", codec)
            return
        names = list(columns)
        key = (table, *names)
        if key not in self._types:  # else each insert asks for the table's types anew
            self._types[key] = client.create_insert_context(table, names).column_types
        client.insert(
            table, list(columns.values()), names, column_types=self._types[key], column_oriented=True,
            settings=settings,
        )  # fmt: skip

    def _open(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._connect(self._config.database)
            return self._client

    def _connect(self, database: str | None) -> Client:
        url = urlsplit(self._config.url)
        if url.scheme == "chdb":
            return clickhouse_connect.get_client(interface="chdb", path=url.path, database=database, tz_mode="aware")
        timeout = math.ceil(self._config.timeout_seconds)  # the driver takes whole seconds
        return clickhouse_connect.get_client(
            interface=url.scheme, host=url.hostname, port=url.port or (8443 if url.scheme == "https" else 8123),
            username=self._config.username, password=_password(self._config), database=database or "default",
            verify=True, ca_cert=str(self._config.ca_file) if self._config.ca_file else None,
            connect_timeout=timeout, send_receive_timeout=timeout,
            autogenerate_session_id=False,  # a session refuses a second query beside the first
            client_name="spendstream", tz_mode="aware",
        )  # fmt: skip

    def _try(self, operation: str, call: Callable[[], T]) -> T:
        """Run `call`. Its errors become StoreAway or StoreRefused, without what driver or server say of the data."""
        try:
            return call()
        except ClickHouseError as error:
            raise _classify(operation, error) from None
        except SettingsError:
            raise
        except (HTTPError, OSError) as error:
            raise StoreAway(operation, type(error).__name__) from None
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise StoreRefused(operation, f"the driver can't take a value ({type(error).__name__})") from None


def _classify(operation: str, error: ClickHouseError) -> StoreError:
    code: int | None = getattr(error, "code", None)
    problem = getattr(error, "name", None) or type(error).__name__
    if code is not None:
        problem = f"{problem} (code {code})" + (f": {MENDS[code]}" if code in MENDS else "")
    if operation == "command":  # our own statements, which hold no data
        problem = f"{problem}: {str(error).splitlines()[0][:300]}"
    if code in PASSING or (code is None and not isinstance(error, LASTING)):
        return StoreAway(operation, problem)
    return StoreRefused(operation, problem)


def _password(config: ClickHouse) -> str:
    """The password from the file that is named, else from the settings. Raises SettingsError."""
    if config.password_file is None:
        return config.password.get_secret_value()
    try:
        return config.password_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError([f"clickhouse.password_file: cannot be read: {error.strerror}"]) from None


def connect(config: ClickHouse) -> ClickHouseStore:
    """A store for `config.url`. Raises SettingsError naming what is wrong with the URL or the password file."""
    url = urlsplit(config.url)
    faults = []
    if url.scheme not in {"http", "https", "chdb"}:
        faults.append("clickhouse.url: must begin with http://, https:// or chdb:///")
    elif url.scheme == "chdb" and (url.netloc or not url.path.strip("/")):
        faults.append("clickhouse.url: chdb needs an absolute path: chdb:///path")
    elif url.scheme != "chdb" and not url.hostname:
        faults.append("clickhouse.url: names no host")
    if "@" in url.netloc:
        faults.append("clickhouse.url: holds a user or password: use clickhouse.username and password_file")
    if faults:
        raise SettingsError(faults)
    _password(config)
    return ClickHouseStore(config)
