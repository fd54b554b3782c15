"""The ClickHouse engine over HTTP, as the ordinary client sees it. (What the store needs of it: test_clickhouse.py.)"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from pydantic import SecretStr

from streams.io.clickhouse import StoreRefused, connect
from streams.io.clickhouse_server.process import EmbeddedClickHouse
from streams.settings import ClickHouse

TABLE = """CREATE TABLE {name:Identifier} (n UInt64, text String) ENGINE = MergeTree ORDER BY n
           SETTINGS non_replicated_deduplication_window = 100"""
WRITER = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(host="127.0.0.1", port=int(sys.argv[1]), autogenerate_session_id=False)
for batch in range(20):
    rows = [[int(sys.argv[2]) * 100_000 + batch * 100 + n, "x"] for n in range(100)]
    client.insert(sys.argv[3], rows, ["n", "text"], settings={"async_insert": 0})
"""


@contextmanager
def client(server: EmbeddedClickHouse, **options: Any) -> Iterator[Client]:
    port = int(server.url.rpartition(":")[2])
    opened = clickhouse_connect.get_client(host="127.0.0.1", port=port, autogenerate_session_id=False, **options)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """A server of the test's own, to be killed."""
    with EmbeddedClickHouse(tmp_path / "data") as server:
        yield server


def test_values_are_bound_by_the_engine(clickhouse_server: EmbeddedClickHouse) -> None:
    hostile = "'; DROP TABLE x -- \\ \t\n größe"
    sql = "SELECT {text:String} AS text, {numbers:Array(Int64)} AS numbers, {none:Nullable(String)} AS none"
    with client(clickhouse_server) as asking:
        rows = asking.query(sql, {"text": hostile, "numbers": [1, -2], "none": None}).result_rows
    assert list(rows) == [(hostile, [1, -2], None)]


@pytest.mark.parametrize("compress", [True, False, "gzip"])
def test_what_goes_in_comes_out_compressed_or_not(clickhouse_server: EmbeddedClickHouse, compress: bool | str) -> None:
    name = f"values_{compress}"
    rows = [[n, f"text {n}\0\xff"] for n in range(5000)]
    with client(clickhouse_server, compress=compress) as asking:
        asking.command(TABLE, {"name": name})
        asking.insert(name, rows, ["n", "text"])
        assert [
            list(row) for row in asking.query("SELECT * FROM {t:Identifier} ORDER BY n", {"t": name}).result_rows
        ] == rows
        assert asking.query("SELECT * FROM {t:Identifier} WHERE 0", {"t": name}).result_rows == []
        assert asking.command("SELECT count() FROM {t:Identifier}", {"t": name}) == 5000
        assert b'"n":7' in asking.raw_query("SELECT * FROM {t:Identifier} WHERE n = 7", {"t": name}, fmt="JSONEachRow")


def test_settings_hold_for_one_statement_alone(clickhouse_server: EmbeddedClickHouse) -> None:
    sql = "SELECT value FROM system.settings WHERE name = 'max_threads'"
    with client(clickhouse_server) as asking:
        before = asking.command(sql)
        assert asking.command(sql, settings={"max_threads": 3}) == 3
        assert asking.command(sql) == before
        with pytest.raises(DatabaseError, match="TOO_MANY_ROWS_OR_BYTES"):
            asking.query("SELECT * FROM numbers(1000)", settings={"max_result_rows": 10})


def test_an_error_has_the_server_s_code(clickhouse_server: EmbeddedClickHouse) -> None:
    url = clickhouse_server.url
    missing = httpx.post(url, content="SELECT * FROM nowhere")
    assert (missing.status_code, missing.headers["X-ClickHouse-Exception-Code"]) == (404, "60")
    assert "DB::Exception" in missing.text
    assert httpx.post(url, content="SELEC 1").headers["X-ClickHouse-Exception-Code"] == "62"
    assert httpx.post(url, params={"a'b": "1"}, content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "36"
    assert httpx.post(url, headers={"Content-Encoding": "lz4"}, content=b"torn").headers[
        "X-ClickHouse-Exception-Code"] == "271"  # fmt: skip
    assert httpx.get(f"{url}/ping").text == "Ok.\n"


def test_only_the_user_with_the_password_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPENDSTREAM_CLICKHOUSE__PASSWORD", "hunter2")
    with EmbeddedClickHouse(tmp_path) as server:
        good = server.configure(ClickHouse(database="default", password=SecretStr("hunter2")))
        with connect(good) as store:
            assert store.query("SELECT 1 AS n") == [{"n": 1}]
        for wrong in ({"password": SecretStr("hunter")}, {"password": SecretStr("")}, {"username": "root"}):
            with connect(good.model_copy(update=wrong)) as store, pytest.raises(StoreRefused, match="is refused"):
                store.ping()
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "hunter2"}
        assert httpx.post(server.url, headers=headers, content="SELECT 1").text == "1\n"
        assert httpx.post(server.url, content="SELECT 1").status_code == 403
        assert "hunter2" not in Path(f"/proc/{os.getpid()}/cmdline").read_text()


def test_what_was_acknowledged_outlives_a_kill_and_so_do_tokens(own: EmbeddedClickHouse) -> None:
    token = {"insert_deduplication_token": "one", "async_insert": 0}
    with client(own) as asking:
        asking.command(TABLE, {"name": "kept"})
        asking.insert("kept", [[n, "first"] for n in range(1000)], ["n", "text"], settings=token)
    own.kill()
    own.start()
    with client(own) as asking:
        asking.insert("kept", [[n, "again"] for n in range(1000)], ["n", "text"], settings=token)
        assert asking.query("SELECT count(), uniqExact(text) FROM kept").result_rows == [(1000, 1)]


def test_several_processes_write_at_once(clickhouse_server: EmbeddedClickHouse) -> None:
    with client(clickhouse_server) as asking:
        asking.command(TABLE, {"name": "shared"})
        port = clickhouse_server.url.rpartition(":")[2]
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, port, str(n), "shared"]) for n in range(3)]  # noqa: S603
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
        assert asking.query("SELECT count(), uniqExact(n) FROM shared").result_rows == [(6000, 6000)]


@pytest.mark.parametrize(("extra", "status", "says"), [
    ((), 1, "lock"), (("--host", "0.0.0.0"), 2, "set SPENDSTREAM_CLICKHOUSE__PASSWORD"),  # noqa: S104  is refused
])  # fmt: skip
def test_a_path_in_use_and_an_open_door_are_refused(
    own: EmbeddedClickHouse, tmp_path: Path, extra: tuple[str, ...], status: int, says: str
) -> None:
    command = [sys.executable, "-m", "streams.io.clickhouse_server", "--path", str(tmp_path / "data"), "--port", "0"]
    done = subprocess.run([*command, *extra], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
