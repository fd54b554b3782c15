"""Kafka clients as this service needs them, from the settings: one place for security, sizes and what loses no data.

A password is read where a client is made and stays out of every repr.
"""

from __future__ import annotations

from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.helpers import create_ssl_context

from schemas.topics import TOPICS, Topic
from streams.settings import Kafka, Settings, SettingsError

MAX_MESSAGE_BYTES = max(topic.max_message_bytes for topic in TOPICS)
# One answer of the broker, of all partitions; a larger record comes alone. Of more than that the first partitions get
# most in a backlog, run ahead of the others, and what is made of them has to wait for those.
FETCH_BYTES = 1 << 20
# What is sent to a partition in one request; every topic of ours takes as much. With aiokafka's 16 KiB hardly two ticks
# go together, and what closes many windows takes as many round trips.
BATCH_BYTES = 1 << 19
REQUEST_TIMEOUT_MS = 40_000


class ClientConfig(dict[str, Any]):
    """Keyword arguments of an aiokafka client, safe to print."""

    def __repr__(self) -> str:
        return repr({name: "***" if "password" in name and value else value for name, value in self.items()})


def client_config(kafka: Kafka) -> ClientConfig:
    """What every aiokafka client takes: address and security. Raises SettingsError naming what is missing."""
    config = ClientConfig(bootstrap_servers=kafka.bootstrap_servers, security_protocol=kafka.security_protocol)
    if kafka.security_protocol.endswith("SSL"):
        config["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        config["sasl_mechanism"] = kafka.sasl_mechanism
        config["sasl_plain_username"] = kafka.username
        config["sasl_plain_password"] = _password(kafka)
    return config


def make_consumer(settings: Settings, *, group: str, client_id: str, **overrides: Any) -> AIOKafkaConsumer:
    """A consumer that commits only when told, starts at the earliest record and can read the largest one.

    It must be made in a running event loop. `overrides` are aiokafka's own keyword arguments.
    """
    session_ms = int(settings.kafka.session_timeout_seconds * 1000)
    config = {
        "group_id": group,
        "client_id": client_id,
        "enable_auto_commit": False,  # it commits what was fetched, whether or not it was processed
        "auto_offset_reset": "earliest",  # aiokafka's "latest" skips what came before the first start
        "isolation_level": "read_committed",
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": min(3_000, session_ms // 3),
        "rebalance_timeout_ms": int(settings.kafka.rebalance_timeout_seconds * 1000),
        "request_timeout_ms": max(REQUEST_TIMEOUT_MS, session_ms + 10_000),  # a join may be held for a session
        "fetch_max_bytes": FETCH_BYTES,
        "max_partition_fetch_bytes": MAX_MESSAGE_BYTES,  # a record above it would be skipped (aiokafka#1173)
    }
    return AIOKafkaConsumer(**{**client_config(settings.kafka), **config, **overrides})


def make_producer(settings: Settings, *, client_id: str, **overrides: Any) -> AIOKafkaProducer:
    """A producer whose sends are confirmed by all replicas and written once although retried (where the broker can).

    It must be made in a running event loop. `overrides` are aiokafka's own keyword arguments.
    """
    config = {
        "client_id": client_id,
        "acks": "all",
        "enable_idempotence": settings.kafka.idempotent_producer,
        "linger_ms": 5,
        "max_batch_size": BATCH_BYTES,
        "max_request_size": MAX_MESSAGE_BYTES,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    return AIOKafkaProducer(**{**client_config(settings.kafka), **config, **overrides})


def member_id(consumer: AIOKafkaConsumer) -> str:
    """A consumer's id in its group, as the broker gave it; empty while it has none. aiokafka keeps it to itself."""
    return str(getattr(consumer._coordinator, "member_id", ""))


def topic_name(settings: Settings, topic: Topic) -> str:
    """The topic's name on this cluster, with the deployment's prefix."""
    return settings.kafka.topic_prefix + topic.name


def group_name(settings: Settings, stage: str) -> str:
    """The consumer group of a stage: `spendstream.price`, with the deployment's prefix before it."""
    return f"{settings.kafka.topic_prefix}spendstream.{stage}"


def faust_broker(settings: Settings) -> dict[str, Any]:
    """The keyword arguments `broker` and `broker_credentials` of `faust.App`. Raises SettingsError as above."""
    servers = [server.strip() for server in settings.kafka.bootstrap_servers.split(",") if server.strip()]
    return {"broker": [f"kafka://{server}" for server in servers], "broker_credentials": _credentials(settings.kafka)}


def _credentials(kafka: Kafka) -> faust.auth.Credentials | None:
    context = _ssl_context(kafka) if kafka.security_protocol.endswith("SSL") else None
    if kafka.security_protocol.startswith("SASL"):
        # Without the context Faust would speak SASL in clear, so it is passed whenever the protocol has TLS.
        return faust.SASLCredentials(
            username=kafka.username, password=_password(kafka), mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context is not None else None


def _ssl_context(kafka: Kafka) -> Any:
    try:
        return create_ssl_context(
            cafile=_text(kafka.ca_file), certfile=_text(kafka.certificate_file), keyfile=_text(kafka.key_file)
        )
    except OSError as error:  # also ssl.SSLError; its text names no key material
        raise SettingsError([f"kafka: ca_file, certificate_file or key_file cannot be used: {error}"]) from None


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _password(kafka: Kafka) -> str:
    """The SASL password from the file that is named, else from the settings."""
    password = kafka.password.get_secret_value()
    if kafka.password_file is not None:
        try:
            password = kafka.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError([f"kafka.password_file: cannot be read: {error.strerror}"]) from None
    faults = [
        f"kafka.{field}: needed with security_protocol {kafka.security_protocol}"
        for field, value in (("username", kafka.username), ("password", password))
        if not value
    ]
    if faults:
        raise SettingsError(faults)
    return password
