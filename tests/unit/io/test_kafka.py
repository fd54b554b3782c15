"""The settings as clients get them: security, sizes, and no password in sight."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import faust
import pytest

from schemas.topics import CHARGES, TOPICS
from streams.io.kafka import BATCH_BYTES, MAX_MESSAGE_BYTES, client_config, faust_broker, group_name, topic_name
from streams.settings import Kafka, Settings, SettingsError

SASL = {"security_protocol": "SASL_SSL", "username": "spend", "password": "hunter2"}


def settings(**kafka: Any) -> Settings:
    return Settings(kafka=Kafka(**kafka))


def test_a_client_reads_the_largest_message_of_any_topic() -> None:
    assert max(topic.max_message_bytes for topic in TOPICS) == MAX_MESSAGE_BYTES


def test_every_topic_takes_what_is_sent_in_one_request() -> None:
    assert min(topic.max_message_bytes for topic in TOPICS) > BATCH_BYTES


def test_plaintext_passes_no_credentials() -> None:
    assert client_config(Kafka()) == {"bootstrap_servers": "127.0.0.1:9092", "security_protocol": "PLAINTEXT"}


def test_sasl_over_tls_checks_the_host_name() -> None:
    config = client_config(Kafka(**SASL))
    assert config["ssl_context"].check_hostname
    assert config["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert (config["sasl_mechanism"], config["sasl_plain_username"]) == ("SCRAM-SHA-512", "spend")
    assert config["sasl_plain_password"] == "hunter2"  # noqa: S105


def test_the_password_is_in_no_repr() -> None:
    texts = [repr(client_config(Kafka(**SASL))), repr(settings(**SASL)), repr(faust_broker(settings(**SASL)))]
    assert not [text for text in texts if "hunter2" in text]


def test_the_password_comes_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-file\n", encoding="utf-8")
    config = client_config(Kafka(security_protocol="SASL_PLAINTEXT", username="spend", password_file=file))
    assert config["sasl_plain_password"] == "from-file"  # noqa: S105
    assert "ssl_context" not in config


@pytest.mark.parametrize(
    ("kafka", "fault"),
    [
        ({"security_protocol": "SASL_SSL", "password": "hunter2"}, "kafka.username: needed with"),
        ({"security_protocol": "SASL_PLAINTEXT", "username": "spend"}, "kafka.password: needed with"),
        ({**SASL, "password_file": "/nowhere/password"}, "kafka.password_file: cannot be read: No such file"),
        ({"security_protocol": "SSL", "ca_file": "/nowhere/ca.pem"}, "kafka: ca_file, certificate_file or key_file"),
    ],
)
def test_what_is_missing_is_named_without_the_password(kafka: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        client_config(Kafka(**kafka))
    assert "hunter2" not in str(caught.value)


def test_faust_gets_every_broker() -> None:
    assert faust_broker(settings(bootstrap_servers="a:1, b:2")) == {
        "broker": ["kafka://a:1", "kafka://b:2"],
        "broker_credentials": None,
    }


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_faust_speaks_the_protocol_that_is_set(protocol: str) -> None:
    credentials = faust_broker(settings(**{**SASL, "security_protocol": protocol}))["broker_credentials"]
    found = faust.App("t", broker_credentials=credentials).conf.broker_credentials
    assert found is not None
    assert found.protocol.value == protocol


def test_the_prefix_keeps_deployments_apart() -> None:
    prefixed = settings(topic_prefix="eu.")
    assert topic_name(prefixed, CHARGES) == "eu.spend.charges"
    assert group_name(prefixed, "land") == "eu.spendstream.land"
