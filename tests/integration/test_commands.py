"""The commands as a user runs them, each in a process of its own, on the real Kafka and a ClickHouse of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.kafka import RealKafka
from tests.support.require import require

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
COMMAND = Path(sys.executable).with_name("spendstream")
QUERY = """
import json, sys
from streams.io.clickhouse import connect
from streams.settings import load
with connect(load().clickhouse) as store:
    print(json.dumps([store.query(sql) for sql in sys.argv[1:]], default=str))
"""


class Deployment:
    """A folder, a topic prefix and the environment that points every command at them."""

    def __init__(self, kafka: RealKafka, folder: Path) -> None:
        self.folder = folder
        own = {
            "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA__TOPIC_PREFIX": f"{folder.name}.",
            "CLICKHOUSE__URL": f"chdb://{folder / 'clickhouse'}",
            "STAGES__STATE_DIR": str(folder / "state"),
            "METRICS__PORT": "0",
        }
        self.environment = {**os.environ, **{f"SPENDSTREAM_{name}": value for name, value in own.items()}}

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command to its end; returns all it said."""
        done = subprocess.run(  # noqa: S603  our own command
            [COMMAND, *arguments], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        assert "Traceback" not in said
        return said

    def query(self, *sql: str) -> list[list[dict[str, str]]]:
        """Rows of queries, read by a process of its own: the engine takes one at a time."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", QUERY, *sql], env=self.environment, cwd=self.folder, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
        found: list[list[dict[str, str]]] = json.loads(done.stdout)
        return found


@pytest.fixture
def deployment(kafka: RealKafka, tmp_path: Path) -> Deployment:
    require(COMMAND.exists(), "the spendstream command, from `make install`")
    return Deployment(kafka, tmp_path)


def test_from_init_to_a_row_and_a_dead_letter(deployment: Deployment) -> None:
    assert "run `spendstream init`" in deployment.run("worker", status=1)
    assert "topic" in deployment.run("init")
    assert "tables: up to date" in deployment.run("init")
    assert "wrong" not in deployment.run("doctor")
    worker = subprocess.Popen(  # noqa: S603
        [COMMAND, "worker"], env=deployment.environment, cwd=deployment.folder, stderr=subprocess.PIPE, text=True
    )
    try:
        deployment.run("send", str(EXAMPLES / "valid" / "token-call.json"))
        deployment.run("send", str(EXAMPLES / "valid" / "token-call.json"))
        deployment.run("send", str(EXAMPLES / "invalid" / "negative--output-tokens.json"))
        deployment.run("send", str(EXAMPLES / "invalid" / "not_json--plain-text.bin"), "--topic", "usage.gpu", status=2)
        _wait_until_read(deployment, worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
    finally:
        worker.kill()
        worker.wait()
        assert worker.stderr is not None
        worker.stderr.close()
    charges, letters = deployment.query(
        "SELECT model, team, toString(effective_cost) AS usd, price_source FROM charges",
        "SELECT reason, field, topic FROM dead_letters FINAL",
    )
    assert charges == [{"model": "gpt-4o", "team": "search", "usd": "0.0055", "price_source": "genai-prices"}]
    assert letters == [{"reason": "negative", "field": "data.output_tokens", "topic": "usage.token-calls"}]


def _wait_until_read(deployment: Deployment, worker: subprocess.Popen[str]) -> None:
    """Wait until `land` has committed past both charges and the dead letter; pulses stand among the charges."""
    import asyncio  # noqa: PLC0415  the test is a process user's view; only this look needs a client

    from streams.io.kafka import group_name, make_consumer  # noqa: PLC0415
    from streams.settings import Kafka, Settings  # noqa: PLC0415

    environment = deployment.environment
    kafka = Kafka(
        bootstrap_servers=environment["SPENDSTREAM_KAFKA__BOOTSTRAP_SERVERS"],
        topic_prefix=environment["SPENDSTREAM_KAFKA__TOPIC_PREFIX"],
    )
    settings = Settings(kafka=kafka)

    async def is_landed() -> bool:
        from aiokafka import TopicPartition  # noqa: PLC0415

        from streams.core.columns.packed import unpack  # noqa: PLC0415

        consumer = make_consumer(settings, group=group_name(settings, "land"), client_id="test")
        await consumer.start()
        try:
            charges = [TopicPartition(f"{kafka.topic_prefix}spend.charges", number) for number in range(4)]
            letters = TopicPartition(f"{kafka.topic_prefix}spend.dead-letters", 0)
            consumer.assign([*charges, letters])
            ends = await consumer.end_offsets([*charges, letters])
            await consumer.seek_to_beginning(*charges, letters)
            found: dict[TopicPartition, int] = {}
            events = 0
            while any([await consumer.position(tp) < ends[tp] for tp in (*charges, letters)]):
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    for record in records:
                        size = 1 if tp == letters else unpack(record.value).block.count
                        events += size
                        found |= {tp: record.offset} if size else {}
            return events == 3 and all([(await consumer.committed(tp) or 0) > last for tp, last in found.items()])
        finally:
            await consumer.stop()

    until = time.monotonic() + 90
    while not asyncio.run(is_landed()):
        assert worker.poll() is None, "the worker ended"
        assert time.monotonic() < until, "the events were not landed in time"
        time.sleep(0.3)


def test_the_doctor_names_what_is_wrong_and_the_mend(deployment: Deployment) -> None:
    deployment.environment["SPENDSTREAM_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    deployment.environment["SPENDSTREAM_ALERTS__RECEIVERS"] = '[{"name": "chat", "url": "nonsense"}]'
    said = deployment.run("doctor", status=1)
    assert "127.0.0.1:1" in said
    assert "mend: " in said
    assert "receiver chat" in said
    assert "run `spendstream init`" in said


def test_a_port_in_use_is_said_in_one_line(deployment: Deployment) -> None:
    import socket  # noqa: PLC0415

    deployment.run("init")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = deployment.run("worker", "roll", "--set", f"metrics.port={port}", status=1)
    assert f"127.0.0.1:{port} can't be bound" in said
