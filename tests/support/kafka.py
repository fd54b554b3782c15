"""The real Apache Kafka as one KRaft node on loopback, from jars that Maven resolves into `build/kafka`."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from streams.io.process import BoundProcess, free_port, kafka_answers
from streams.settings import Kafka, Settings
from tests.support.require import require

ROOT = Path(__file__).parents[2]
POM = ROOT / "tests/kafka/pom.xml"
PROPERTIES = ROOT / "tests/kafka/server.properties"
JARS = ROOT / "build/kafka"
MAVEN_SECONDS = 600
START_SECONDS = 60.0
JAVA = ("java", "-Xms128m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN")


class Broker(Protocol):
    """What a test may rely on in either broker."""

    bootstrap_servers: str

    def configure(self, kafka: Kafka) -> Kafka: ...


def settings_for(broker: Broker, **sections: Any) -> Settings:
    """Settings on `broker` under a topic prefix of their own, so that tests sharing a broker do not meet."""
    settings = Settings(**sections)
    prefixed = settings.kafka.model_copy(update={"topic_prefix": f"t{uuid.uuid4().hex[:8]}."})
    return settings.model_copy(update={"kafka": broker.configure(prefixed)})


def java_release() -> int:
    """The major release of the `java` on the path; 0 without one."""
    if not (java := shutil.which("java")):
        return 0
    done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def resolve_jars() -> Path:
    """The folder with Kafka's jars, resolved once per state of the pom; safe to call from several runs at a time."""
    JARS.mkdir(parents=True, exist_ok=True)
    stamp, digest = JARS / ".resolved", hashlib.sha256(POM.read_bytes()).hexdigest()
    with (JARS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
            return JARS
        require(shutil.which("mvn"), "Apache Maven (mvn), to fetch Apache Kafka")
        for jar in JARS.glob("*.jar"):
            jar.unlink()
        command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False)  # noqa: S603
        said = (done.stdout + done.stderr).strip().splitlines() or [""]
        require(done.returncode == 0, f"Apache Kafka's jars, which Maven could not fetch: {said[0]}")
        stamp.write_text(digest, encoding="utf-8")
    return JARS


class RealKafka:
    """One broker and controller in a folder that is kept over `kill` and `restart`, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._controller_port = free_port(), free_port()
        self._process: BoundProcess | None = None
        self._classpath = f"{resolve_jars()}/*"
        self.bootstrap_servers = f"127.0.0.1:{self._port}"

    def configure(self, kafka: Kafka) -> Kafka:
        """`kafka` pointed at this broker."""
        return kafka.model_copy(
            update={
                "bootstrap_servers": self.bootstrap_servers,
                "security_protocol": "PLAINTEXT",
                "replication_factor": 1,
                "idempotent_producer": True,
            }
        )

    def format(self) -> None:
        """Write the configuration and prepare the storage, once."""
        text = PROPERTIES.read_text(encoding="utf-8")
        values = {"PORT": self._port, "CONTROLLER_PORT": self._controller_port, "FOLDER": self._folder}
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", str(value))
        self._properties.write_text(text, encoding="utf-8")
        command = self._java("kafka.tools.StorageTool", "format", "-t", "c3BlbmRzdHJlYW10ZXN0cw", "-c")
        subprocess.run([*command, str(self._properties)], capture_output=True, timeout=60, check=True)  # noqa: S603

    def start(self) -> None:
        """Start the broker and wait until it lists itself, which is when topics can be made."""
        self._process = BoundProcess([*self._java("kafka.Kafka"), str(self._properties)])
        if not self._process.wait_until(self._ready, timeout_seconds=START_SECONDS):
            said = self._process.said_last()
            self.stop()
            raise RuntimeError(f"Apache Kafka did not start: {said}")

    def stop(self) -> None:
        """End it in order."""
        self._end(BoundProcess.stop)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(BoundProcess.kill)

    def restart(self) -> None:
        """Start it again with what it had stored. From a coroutine: `await asyncio.to_thread(kafka.restart)`."""
        self.stop()
        self.start()

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _java(self, main: str, *arguments: str) -> list[str]:
        return [*JAVA, "-cp", self._classpath, main, *arguments]

    def _end(self, how: Callable[[BoundProcess], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process = None

    def _ready(self) -> bool:
        return kafka_answers(self.bootstrap_servers) and asyncio.run(_lists_a_broker(self.bootstrap_servers))


async def _lists_a_broker(address: str) -> bool:
    """Whether the metadata names a broker: one that is starting answers before it may hold topics."""
    client = AIOKafkaClient(bootstrap_servers=address)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()
