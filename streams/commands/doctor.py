"""`spendstream doctor`: say what is wrong with config, broker, ClickHouse or receivers, and how to mend it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console

from streams import build
from streams.api.access import Access
from streams.app import utc_now
from streams.commands.common import ConfigOption, Failed, SetOption, settings_of
from streams.core.alert.messages import Places
from streams.io import channels, clickhouse
from streams.io.actions.make import make_actuators
from streams.io.clickhouse import StoreError
from streams.io.migrations import MigrationError
from streams.io.topics import TopicsError, compare_topics
from streams.settings import Settings
from streams.settings_routes import Receiver

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `problem` is empty when it is well; `mend` says what to do."""

    name: str
    problem: str = ""
    mend: str = ""
    warning: bool = False


def doctor(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Check everything the service needs. Exit status 1 when something is wrong."""
    settings = settings_of(config, overrides)
    console = Console(soft_wrap=True)  # a path or an address is to be copied whole
    wrong = 0
    for look in (_config, _broker, _clickhouse, _receivers, _state):
        for check in look(settings):
            mark = "[green]ok[/]" if not check.problem else "[yellow]note[/]" if check.warning else "[red]wrong[/]"
            console.print(f"{mark} {check.name}" + (f": {check.problem}" if check.problem else ""), highlight=False)
            if check.problem and check.mend:
                console.print(f"     mend: {check.mend}", highlight=False)
            wrong += bool(check.problem) and not check.warning
    if wrong:
        raise Failed(f"{wrong} of the checks found something wrong")


def _config(settings: Settings) -> Iterator[Check]:
    try:
        build.charger(settings)
        yield Check("prices, rate cards and rules")
    except ValueError as error:
        yield Check("prices, rate cards and rules", str(error), "correct the file at the place that is named")
    if settings.metrics.host not in LOOPBACK:
        problem = f"/metrics and /health listen on {settings.metrics.host}"
        yield Check("metrics address", problem, "keep it inside a private network", warning=True)
    hosts = [server.rpartition(":")[0] for server in settings.kafka.bootstrap_servers.split(",")]
    if settings.kafka.security_protocol == "PLAINTEXT" and any(host not in LOOPBACK for host in hosts):
        mend = "set kafka.security_protocol to SASL_SSL or SSL"
        yield Check("broker security", "events travel unencrypted", mend, warning=True)


def _broker(settings: Settings) -> Iterator[Check]:
    name = f"broker {settings.kafka.bootstrap_servers}"
    try:
        states = asyncio.run(compare_topics(settings))
    except TopicsError as error:
        mend = "start the broker, correct kafka.bootstrap_servers, or run `spendstream init` when topics are missing"
        yield Check(name, str(error), mend)
        return
    yield Check(name)
    for state in states:
        yield Check(f"topic {state.name}", ", ".join(state.differences), "alter the topic, or accept it as it is",
                    warning=True)  # fmt: skip


def _clickhouse(settings: Settings) -> Iterator[Check]:
    name = f"ClickHouse {settings.clickhouse.url}"
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            yield Check(f"{name} (version {store.ping()})")
            waiting = store.pending()
    except StoreError as error:
        yield Check(name, str(error), "start ClickHouse, or correct clickhouse.url, username and password")
        return
    except MigrationError as error:
        yield Check(f"{name}: tables", str(error), "see the message")
        return
    problem = f"{len(waiting)} migrations are not applied" if waiting else ""
    yield Check("tables", problem, "run `spendstream init`")


def _receivers(settings: Settings) -> Iterator[Check]:
    if not settings.alerts.receivers and not settings.alerts.alertmanager_url:
        yield Check("receivers", "nobody is told: alerts go to the log only", "add [[alerts.receivers]]", warning=True)
    for receiver in settings.alerts.receivers:
        mend = "give its URL (and a webhook's secret) by a file or an environment variable"
        yield _guarded(f"receiver {receiver.name}", partial(_receiver, settings, receiver), mend)
    yield _guarded("links in messages", lambda: _links(settings), "name a secret of 20 characters or more")
    if settings.remedies.policies:
        yield _guarded("remedies", lambda: _remedies(settings), "name the file or variable of the token")
    if settings.api.host not in LOOPBACK:
        mend = "put a proxy with TLS before it, and keep the port inside a private network"
        yield Check("API address", f"the API listens on {settings.api.host} without TLS", mend, warning=True)
    if settings.api.tokens:
        yield _guarded("tokens of the API", lambda: _tokens(settings), "see the message")
    if settings.alerts.alertmanager_url:
        url = settings.alerts.alertmanager_url.rstrip("/") + "/-/ready"
        yield _guarded(
            f"Alertmanager {settings.alerts.alertmanager_url}",
            lambda: _answers(url),
            "start it, or correct alerts.alertmanager_url",
        )


def _receiver(settings: Settings, receiver: Receiver) -> None:
    channels.make_channel(receiver, settings.alerts, Places(), utc_now)


def _links(settings: Settings) -> None:
    secret = settings.api.link_secret()
    if secret is not None and not settings.api.public_url:
        raise ValueError("api.link_secret is set and api.public_url is not: links would lead nowhere")


def _remedies(settings: Settings) -> None:
    make_actuators(settings, utc_now)


def _tokens(settings: Settings) -> None:
    Access.of(settings.api)


def _state(settings: Settings) -> Iterator[Check]:
    folder = settings.stages.state_dir
    yield _guarded(f"state folder {folder}", lambda: _writable(folder), "make the folder writable, or set state_dir")
    host, port = settings.metrics.host, settings.metrics.port
    yield _guarded(f"metrics port {port}", lambda: _free(host, port), "another worker may hold it: set metrics.port")


def _guarded(name: str, look: Callable[[], None], mend: str = "") -> Check:
    try:
        look()
    except (OSError, ValueError, httpx.HTTPError) as error:
        return Check(name, str(error) or type(error).__name__, mend)
    return Check(name)


def _answers(url: str) -> None:
    httpx.get(url, timeout=5.0).raise_for_status()


def _writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".doctor"
    probe.write_text("", encoding="utf-8")
    probe.unlink()


def _free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
