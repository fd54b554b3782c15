"""Fixtures that every test may use, and the rule that nothing is skipped in CI."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streams.io.embedded import EmbeddedBroker
from tests.support import loops
from tests.support.kafka import RealKafka, java_release
from tests.support.require import in_ci, require

pytest_plugins = ["tests.support.clickhouse"]

# A shell ignores Ctrl-C for what it runs in the background, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

loops.install()

# How long an example takes says something of the machine's other work, and nothing of the code.
settings.register_profile("no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no deadline")

HERE = Path(__file__).parent
# So that no process has a long rest to do while the others are done.
LONG_FIRST = (
    "faults",
    "integration",
    "unit/replay",
    "unit/core/detect",
    "unit/core/test_warm",
    "console",
    "dashboards",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(HERE).as_posix()
        return next((number for number, name in enumerate(LONG_FIRST) if file.startswith(name)), len(LONG_FIRST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and in_ci() and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and in_ci():
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that repeats its reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"nothing may be skipped in CI: {reason}"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """The real Apache Kafka, shared by the session: use `settings_for(kafka)`, and restart it if you kill it."""
    require(java_release() >= 17, "Java 17 or newer (java), to run Apache Kafka")
    node = RealKafka(tmp_path_factory.mktemp("kafka"))
    node.format()
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """The embedded broker, empty, for one test."""
    with EmbeddedBroker() as node:
        yield node
