"""Imports point inward: the core knows no client, stage, clock, environment or randomness."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "streams" / "core").rglob("*.py"))
CONTRACTS = sorted((ROOT / "schemas").rglob("*.py"))

FORBIDDEN_IN_CORE = {
    "faust", "aiokafka", "mode", "clickhouse_connect", "chdb", "apprise", "httpx", "starlette", "uvicorn", "asyncio",
    "os", "random", "secrets", "time", "socket", "threading", "structlog", "typer", "rich", "prometheus_client",
    "streams.io", "streams.stages", "streams.app", "streams.settings", "streams.commands", "streams.demo", "replay",
}  # fmt: skip
FORBIDDEN_IN_CONTRACTS = FORBIDDEN_IN_CORE | {"streams"}
CLOCKS = {"now", "utcnow", "today"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def crosses(path: Path, forbidden: set[str]) -> list[str]:
    return sorted({name for name in imports(path) for bad in forbidden if name == bad or name.startswith(bad + ".")})


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_imports_nothing_from_outside(path: Path) -> None:
    assert not crosses(path, FORBIDDEN_IN_CORE)


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_contracts_import_nothing_from_outside(path: Path) -> None:
    assert not crosses(path, FORBIDDEN_IN_CONTRACTS)


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_reads_no_clock(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    ]
    assert not calls


def test_detection_knows_nothing_of_alerts() -> None:
    """Findings go on to alerts, and never back."""
    for path in sorted((ROOT / "streams" / "core" / "detect").rglob("*.py")):
        assert not crosses(path, {"streams.core.alert", "streams.core.remedy"}), path


def test_io_and_stages_stay_apart() -> None:
    for path in sorted((ROOT / "streams" / "io").rglob("*.py")):
        assert not crosses(path, {"streams.stages", "streams.app", "streams.commands", "streams.demo"}), path


def test_it_looks_at_something() -> None:
    assert len(CORE) > 20
    assert crosses(ROOT / "streams" / "stages" / "price.py", FORBIDDEN_IN_CORE)
