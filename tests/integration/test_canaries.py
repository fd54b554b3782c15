"""No secret and no prompt comes out: canaries go in wherever one may stand, and everything that comes out is read.

The commands run as a user runs them, in processes of their own, on the embedded broker and engine, with failures.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from schemas.topics import TOPICS, USAGE_TOPICS
from streams.cli import app
from streams.io.embedded import EmbeddedBroker
from streams.io.kafka import make_consumer, topic_name
from streams.io.process import free_port
from streams.settings import Settings, load
from tests.support.kafka import settings_for
from tests.support.receivers import fake_receiver

CANARY = "xq7canary"
LIMIT_SECONDS = 120.0
SPENDSTREAM = str(Path(sys.executable).with_name("spendstream"))
TOKEN = f"{CANARY}-metrics-token-0123456789"
SECRETS = {
    "SPENDSTREAM_KAFKA__USERNAME": "svc",
    "SPENDSTREAM_KAFKA__PASSWORD": f"{CANARY}-kafka",
    "SPENDSTREAM_CLICKHOUSE__PASSWORD": f"{CANARY}-clickhouse",
    "SPENDSTREAM_METRICS__TOKEN": TOKEN,
    "OPS_TOKEN": f"{CANARY}-operator-token-0123456789",
    "LINK_SECRET": f"{CANARY}-link-secret-0123456789",
    "HOOK_SECRET": "whsec_" + base64.b64encode(f"{CANARY}-webhook-0123456789abcd".encode()).decode(),
}
HIDDEN = [CANARY, SECRETS["HOOK_SECRET"][6:]]
DUMP = """
import json, sys
from streams.io.clickhouse import connect
from streams.settings import load
with connect(load().clickhouse) as store:
    for table in store.query("SELECT name FROM system.tables WHERE database = currentDatabase()"):
        for row in store.query("SELECT * FROM {name:Identifier}", {"name": table["name"]}):
            print(table["name"], row)
"""


def call(number: int, **more: object) -> dict[str, object]:
    data = {"provider": "openai", "model": "gpt-4o", "input_tokens": 500_000, "output_tokens": 10, **more}
    return {"specversion": "1.0", "id": f"c-{number}", "source": "/gateway", "type": "spendstream.token_call.v1",
            "time": datetime.now(UTC).isoformat(), "data": data}  # fmt: skip


def events() -> list[bytes]:
    """Good and bad events with prompts wherever a producer may leave one."""
    prompt = f"{CANARY}: my password is hunter2"
    good = [
        {**call(1), "prompt": prompt},
        call(2, prompt=prompt, messages=[{"role": "user", "content": prompt}]),
        call(3, **{"gen_ai.input.messages": prompt, "completion": {"text": prompt}}),
        call(4, usage={"prompt_tokens": 5, "completion_tokens": 7, "prompt": prompt}),
    ]
    bad = [
        call(5, input_tokens=prompt),
        call(6, tags=prompt),
        call(7, tags={prompt: 5}),
        call(8, batch={"prompt": prompt}),
        call(9, counts={prompt: prompt}),
        {**call(10), "time": prompt},
        {**call(11), "data": prompt},
        {**call(12), "data": [prompt]},
        {"prompt": prompt},
        [prompt],
    ]
    broken = [prompt.encode(), b'{"prompt": "' + prompt.encode(), b'"' + prompt.encode() + b'"']
    return [json.dumps(event).encode() for event in (*good, *bad)] + broken


class Deployment:
    """The commands of one deployment; `said` holds all that they wrote."""

    def __init__(self, broker: EmbeddedBroker, folder: Path, receiver: str) -> None:
        self.folder = folder
        self.said: list[str] = []
        kafka = settings_for(broker).kafka
        self.port = free_port()
        config = f"""
            [kafka]
            bootstrap_servers = "{kafka.bootstrap_servers}"
            topic_prefix = "{kafka.topic_prefix}"
            idempotent_producer = false
            [clickhouse]
            url = "chdb://{folder}/clickhouse"
            [stages]
            state_dir = "{folder}/state"
            [metrics]
            port = {self.port}
            [alerts]
            allowed_targets = ["127.0.0.1"]
            min_excess_usd = 0.01
            receivers = [
                {{name = "chat", url_env = "CHAT_URL"}},
                {{name = "hook", kind = "webhook", url_env = "HOOK_URL", secret_env = "HOOK_SECRET"}},
            ]
            [api]
            tokens = [{{name = "ops", role = "operator", token_env = "OPS_TOKEN"}}]
            link_secret_env = "LINK_SECRET"
            public_url = "http://127.0.0.1:1"
        """
        file = folder / "spendstream.toml"
        file.write_text("\n".join(line.strip() for line in config.splitlines()), encoding="utf-8")
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "SPENDSTREAM_CONFIG": str(file), **SECRETS,
            "CHAT_URL": f"json://svc:{CANARY}-chat@{receiver}/{CANARY}-path",
            "HOOK_URL": f"http://{receiver}/{CANARY}-hook",
        }  # fmt: skip

    def run(self, *words: str, fails: bool = False) -> str:
        """A command in a process of its own; `-c` and a program for one of Python."""
        command = [SPENDSTREAM, *words] if words[0] != "-c" else [sys.executable, *words]
        done = subprocess.run(  # noqa: S603
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_SECONDS,
            check=False,
        )  # fmt: skip
        self.said.append(f"{words[:2]}\n{done.stdout}\n{done.stderr}")
        assert bool(done.returncode) == fails, self.said[-1]
        return done.stdout

    def here(self, *words: str, fails: bool = False) -> None:
        """The same in this process, for what needs no engine: starting Python takes longer than most commands."""
        done = CliRunner().invoke(app, list(words), env=self.environment)
        self.said.append(f"{words[:2]}\n{done.output}\n{done.exception!r}")
        assert bool(done.exit_code) == fails, self.said[-1]

    def settings(self, monkeypatch: pytest.MonkeyPatch) -> Settings:
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return load()


@pytest.fixture
def deployment(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Deployment]:
    with fake_receiver() as receiver:
        receiver.down = True  # every delivery fails
        yield Deployment(broker, tmp_path, receiver.address)


async def on_internal_topics(settings: Settings) -> list[bytes]:
    """Every record that we wrote: keys, values, headers."""
    ours = {topic_name(settings, topic) for topic in set(TOPICS) - set(USAGE_TOPICS)}
    consumer = make_consumer(settings, group="", client_id="look", group_id=None)
    await consumer.start()
    try:
        tps = [TopicPartition(name, p) for name in ours for p in consumer.partitions_for_topic(name) or ()]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning()
        found: list[bytes] = []
        async with asyncio.timeout(60):
            while not all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [
                        part for r in records for part in (r.key or b"", r.value or b"", repr(r.headers).encode())
                    ]
        return found
    finally:
        await consumer.stop()


def everything_is_landed(metrics: str) -> bool:
    """Four charges, and a dead letter for each of the others."""
    read = re.search(r'_records_total{stage="land",topic="[^"]*dead-letters"} (\d+)', metrics)
    lag = re.search(r'_lag_records{partition="0",stage="land",topic="[^"]*dead-letters"} (\d+)', metrics)
    charged = 'outcome="landed"} 4.0' in metrics
    return charged and read is not None and int(read[1]) == len(events()) - 4 and lag is not None and lag[1] == "0"


def work(deployment: Deployment) -> str:
    """Run the worker until everything is landed, and end it as a supervisor does. Returns its metrics."""
    log = deployment.folder / "worker.log"
    with log.open("w", encoding="utf-8") as out:
        worker = subprocess.Popen(  # noqa: S603
            [SPENDSTREAM, "worker"],
            env=deployment.environment, cwd=deployment.folder, stdout=out, stderr=out,
        )  # fmt: skip
    metrics, until = "", time.monotonic() + LIMIT_SECONDS
    address = f"http://127.0.0.1:{deployment.port}/metrics"
    try:
        while not everything_is_landed(metrics):
            assert worker.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until, metrics
            time.sleep(0.5)  # another process: nothing to await
            try:
                assert httpx.get(address).status_code == 401
                metrics = httpx.get(address, headers={"Authorization": f"Bearer {TOKEN}"}).text
            except httpx.TransportError:
                continue
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    deployment.said.append(log.read_text(encoding="utf-8"))
    return metrics


def test_no_canary_comes_out(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    file = deployment.folder / "events.ndjson"
    file.write_bytes(b"\n".join(events()))
    deployment.run("init")
    deployment.here("send", str(file), "--batch", "1")
    metrics = work(deployment)
    deployment.run("dead-letters", "list", "--json")
    deployment.run("dead-letters", "redrive", "--dry-run")
    deployment.here("replay", str(file), "--out", str(deployment.folder / "out"))
    # What fails, and says so.
    deployment.here("init", "--set", "kafka.bootstrap_servers=127.0.0.1:1", fails=True)
    deployment.run("worker", "--set", "kafka.security_protocol=SASL_PLAINTEXT", fails=True)
    deployment.here("init", "--set", "clickhouse.url=http://127.0.0.1:1", fails=True)
    deployment.here("doctor", "--set", "clickhouse.url=http://127.0.0.1:1", fails=True)
    deployment.here("doctor", "--set", f"kafka.pasword={CANARY}", fails=True)
    deployment.here("doctor", "--set", f"kafka.password=[{CANARY!r}]", fails=True)

    settings = deployment.settings(monkeypatch)
    tables = deployment.run("-c", DUMP)
    assert "dead_letters" in tables
    assert "c-1" in tables
    files = [path for folder in ("out", "state") for path in (deployment.folder / folder).rglob("*") if path.is_file()]
    seen = {
        "commands": "\n".join(deployment.said).encode(),
        "topics": b"\n".join(asyncio.run(on_internal_topics(settings))),
        "metrics": metrics.encode(),
        "settings": repr(settings).encode() + settings.model_dump_json().encode(),
        **{str(path): path.read_bytes() for path in files},
    }
    assert len(seen["topics"]) > 1_000
    for place, content in seen.items():
        for hidden in HIDDEN:
            at = content.find(hidden.encode())
            assert at < 0, f"{place}: {content[max(0, at - 200) : at + 100]!r}"
