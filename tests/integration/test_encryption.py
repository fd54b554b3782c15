"""TLS and passwords on real parts: the whole service on a Kafka with SASL over TLS, and a ClickHouse behind TLS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.topics import TOKEN_CALLS
from streams.io import clickhouse as clickhouses
from streams.io.clickhouse import ClickHouseStore, StoreAway, StoreError
from streams.io.process import free_port
from streams.io.topics import TopicsError, create_topics
from streams.settings import ClickHouse, Kafka, Settings
from tests.support.examples import valid
from tests.support.kafka import RealKafka, java_release, settings_for
from tests.support.live import live, live_settings
from tests.support.require import require
from tests.support.tls import Papers, http_server, papers_for

USER, PASSWORD = "spendstream", "canary-kafka-3b7"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SecureKafka(RealKafka):
    """Beside the listener of other tests one that asks for TLS and a password, by each mechanism that we have."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.papers = papers_for(folder, "127.0.0.1")
        self._plain = self.bootstrap_servers
        self._secure = f"127.0.0.1:{free_port()}"

    def format(self) -> None:
        super().format()
        text = self._properties.read_text(encoding="utf-8")
        for name in ("listeners=", "advertised.listeners="):
            text = text.replace(f"\n{name}", f"\n{name}SECURE://{self._secure},")
        text = text.replace("protocol.map=", "protocol.map=SECURE:SASL_SSL,")
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        lines = {
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "listener.name.secure.plain.sasl.jaas.config": plain,
            "listener.name.secure.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.secure.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": self.papers.server,
        }
        text += "\n" + "".join(f"{name}={value}\n" for name, value in lines.items())
        self._properties.write_text(text, encoding="utf-8")

    def add_users(self) -> None:
        """The passwords of SCRAM live in the cluster."""
        for mechanism in MECHANISMS[1:]:
            command = self._java("kafka.admin.ConfigCommand", "--bootstrap-server", self._plain, "--alter")
            command += ["--add-config", f"{mechanism}=[password={PASSWORD}]"]
            command += ["--entity-type", "users", "--entity-name", USER]
            subprocess.run(command, capture_output=True, timeout=120, check=True)  # noqa: S603

    def configure(self, kafka: Kafka) -> Kafka:
        return (
            super()
            .configure(kafka)
            .model_copy(
                update={
                    "bootstrap_servers": self._secure,
                    "security_protocol": "SASL_SSL",
                    "username": USER,
                    "password": SecretStr(PASSWORD),
                    "ca_file": self.papers.authority,
                }
            )
        )


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    require(java_release() >= 17, "Java 17 or newer (java), to run Apache Kafka")
    node = SecureKafka(tmp_path_factory.mktemp("secure"))
    node.format()
    try:
        node.start()
        node.add_users()
        yield node
    finally:
        node.stop()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_lets_us_in(secure: SecureKafka, mechanism: str) -> None:
    settings = changed(settings_for(secure), sasl_mechanism=mechanism)
    assert {state.outcome for state in asyncio.run(create_topics(settings, timeout_seconds=60))} == {"created"}


def test_the_whole_service_runs_on_it(
    secure: SecureKafka, clickhouse: ClickHouse, store: ClickHouseStore, tmp_path: Path
) -> None:
    """Faust, every consumer and every producer: an event goes from the topic into its table, by SCRAM over TLS."""
    event = next(example for example in valid() if example.name == "token-call").value

    async def run() -> list[dict[str, Any]]:
        async with live(live_settings(secure, clickhouse, tmp_path), store) as service:
            await service.send_values(TOKEN_CALLS, [event])
            await service.accounted(1)
            return service.rows("SELECT id FROM charges")

    assert asyncio.run(run()) == [{"id": "tok-1"}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": SecretStr("canary-wrong-11")},
        {"ca_file": None},
        {"security_protocol": "SASL_PLAINTEXT"},
        {"security_protocol": "PLAINTEXT"},
    ],
    ids=["password", "authority", "no TLS", "neither"],
)
def test_it_lets_nobody_else_in_and_says_no_secret(secure: SecureKafka, wrong: dict[str, Any]) -> None:
    with pytest.raises(TopicsError) as caught:
        asyncio.run(create_topics(changed(settings_for(secure), **wrong), timeout_seconds=8))
    assert "canary" not in str(caught.value)


def changed(settings: Settings, **kafka: Any) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})


# ClickHouse. The engine here has no TLS of its own; what its client sends, and to whom, is seen by a server that has.


def query(config: ClickHouse) -> None:
    with clickhouses.connect(config) as store:
        store.query("SELECT 1")


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return papers_for(tmp_path, "127.0.0.1")


def test_the_client_of_clickhouse_checks_the_certificate(papers: Papers, tmp_path: Path) -> None:
    other = papers_for(tmp_path / "other", "elsewhere.example.com")
    for shown, trusted in ((papers, None), (papers, other.authority), (other, other.authority)):
        with http_server(shown) as server:
            config = ClickHouse(
                url=f"https://127.0.0.1:{server.port}", password=SecretStr("canary-ch-5"), ca_file=trusted,
                timeout_seconds=5,
            )  # fmt: skip
            with pytest.raises(StoreAway) as caught:
                query(config)
            assert server.requests == []
            assert "canary" not in str(caught.value)


def test_it_talks_to_the_one_it_trusts_and_the_password_travels_in_a_header_alone(papers: Papers) -> None:
    with http_server(papers) as server:
        server.answer = lambda *_: (516, {"X-ClickHouse-Exception-Code": "516"}, b"Code: 516. canary-ch-5 is wrong")
        config = ClickHouse(
            url=f"https://127.0.0.1:{server.port}", username="svc", password=SecretStr("canary-ch-5"),
            ca_file=papers.authority, timeout_seconds=5,
        )  # fmt: skip
        with pytest.raises(StoreError) as caught:
            query(config)
    assert server.requests
    assert all("canary" not in path and b"canary" not in body for _, path, _, body in server.requests)
    assert "canary" not in str(caught.value)
