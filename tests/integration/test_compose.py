"""The deployment's files agree with the service: images, ports, secrets, settings, commands, health checks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STAGES = ("price", "land", "roll", "detect", "alert")
OURS = ("init", *STAGES, "console")
PLACEHOLDER = re.compile(r"^\$\{([A-Z_]+):\?[^}]+\}$")
FROM_ENV = "from-env-and-long-enough"
every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_an_image_is_pinned_to_a_release(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+(\.\d+){2,3}", tag), f"{SERVICES[name]['image']} is not one release"


def test_the_images_that_ours_is_built_from_are_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)


def test_our_image_does_not_run_as_root() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d*$", text.rpartition("\nFROM ")[2], re.MULTILINE)


def test_tests_run_the_broker_that_is_deployed() -> None:
    pom = (ROOT / "tests/kafka/pom.xml").read_text(encoding="utf-8")
    version = SERVICES["kafka"]["image"].partition(":")[2]
    assert f"<artifactId>kafka_2.13</artifactId>\n      <version>{version}</version>" in pom


@every_service
def test_it_says_when_it_is_healthy_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if name == "init":  # ends when it is done; the stages wait for its exit status
        assert (service["restart"], "healthcheck" in service) == ("no", False)
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_waits_for_topics_and_tables(name: str) -> None:
    assert SERVICES[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}


@every_service
def test_ports_are_on_loopback(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@every_service
def test_no_password_is_in_the_file(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    secrets = {key: value for key, value in environment.items() if re.search("PASSWORD|SECRET|TOKEN$|KEY$", key)}
    assert not {key: value for key, value in secrets.items() if not PLACEHOLDER.match(str(value))}


def test_a_token_is_named_by_its_variable() -> None:
    named = json.loads(SERVICES["console"]["environment"]["SPENDSTREAM_API__TOKENS"])
    assert [set(token) for token in named] == [{"name", "role", "token_env"}]
    assert all(token["token_env"] in SERVICES["console"]["environment"] for token in named)


def test_every_password_has_its_line_in_the_example() -> None:
    named = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) == named


@every_service
def test_what_it_mounts_exists(name: str) -> None:
    for mount in SERVICES[name].get("volumes", ()):
        source = mount.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount


@pytest.mark.parametrize("name", OURS)
def test_its_settings_load(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, PLACEHOLDER.sub(FROM_ENV, str(value)))
    settings = load()
    changed = settings.model_dump(exclude_defaults=True)
    leaves = sum(len(section) for section in changed.values())
    assert leaves == sum(name.startswith("SPENDSTREAM_") for name in environment), "a variable sets nothing"
    assert all(token.resolved() for token in settings.api.tokens)
    assert settings.clickhouse.password.get_secret_value() == FROM_ENV
    assert settings.clickhouse.database == Settings().clickhouse.database  # reader.xml and Grafana name it
    assert settings.kafka.bootstrap_servers.partition(":")[0] in SERVICES


@pytest.mark.parametrize("name", OURS)
def test_its_command_exists(name: str) -> None:
    from streams.app import STAGES as HOSTED  # noqa: PLC0415  (the other tests need no service)
    from streams.cli import COMMANDS  # noqa: PLC0415

    command, *arguments = SERVICES[name]["command"]
    assert command in COMMANDS
    assert arguments == ([name] if name in STAGES else [])
    assert set(STAGES) == set(HOSTED)


@pytest.mark.parametrize("name", [*STAGES, "console"])
def test_health_is_asked_where_it_is_served(name: str) -> None:
    program = SERVICES[name]["healthcheck"]["test"][-1]
    port = Settings().console.port if name == "console" else Settings().metrics.port
    assert f"http://127.0.0.1:{port}/health" in program
    compile(program, name, "exec")


def test_the_image_is_built_from_what_the_lock_tested() -> None:
    image, everything = (
        set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements-image.lock", "requirements.lock")
    )
    assert image
    assert image <= everything


def test_compose_itself_reads_the_file(tmp_path: Path) -> None:
    """Where its plugin is installed. Without it the tests above stand alone, so this is no skip."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:  # noqa: S603
        return
    names = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    env = tmp_path / "env"
    env.write_text("".join(f"{name}=x\n" for name in names), encoding="utf-8")
    command = [docker, "compose", "-f", str(ROOT / "docker-compose.yml"), "--env-file", str(env), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
