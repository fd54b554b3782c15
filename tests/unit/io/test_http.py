"""Who may read the metrics: on loopback everyone, elsewhere who has the token; the health pages tell others little."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from streams.io.http import Health, HttpServer
from streams.settings import Metrics, SettingsError, load

TOKEN = "t" * 32


def asked(token: str, *headers: dict[str, str]) -> list[tuple[int, int, str]]:
    """For each set of headers: the status of /metrics, that of /health, and all that both said."""
    registry = CollectorRegistry()
    Counter("spendstream_test_total", "A count", registry=registry)
    health = Health(live=True, ready=False, stages={"price": "running"})

    async def run() -> list[tuple[int, int, str]]:
        server = HttpServer("127.0.0.1", 0, registry, lambda: health, SecretStr(token) if token else None)
        await server.start()
        host, port = server.address
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
                found = []
                for one in headers:
                    metrics = await client.get("/metrics", headers=one)
                    said = await client.get("/health", headers=one)
                    found.append((metrics.status_code, said.status_code, metrics.text + said.text))
                return found
        finally:
            await server.stop()

    return asyncio.run(run())


def test_without_a_token_everyone_on_loopback_reads() -> None:
    ((metrics, health, text),) = asked("", {})
    assert (metrics, health) == (200, 503)
    assert "spendstream_test_total" in text
    assert "price" in text


def test_with_a_token_only_who_has_it() -> None:
    texts = (f"Bearer {TOKEN}x", TOKEN, "Bearer", f"Bearer {TOKEN[1:]}")
    wrong = [{}, *({"Authorization": text} for text in texts)]
    right, *others = asked(TOKEN, {"Authorization": f"Bearer {TOKEN}"}, *wrong)
    assert (right[0], right[1]) == (200, 503)
    assert "price" in right[2]
    for metrics, health, text in others:
        assert (metrics, health) == (401, 503)
        assert "spendstream_test_total" not in text
        assert "price" not in text


def test_an_address_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "10.0.0.1", "metrics.internal", "::"):  # noqa: S104
        with pytest.raises(SettingsError, match=r"metrics: .*token_file"):
            load(overrides=[f"metrics.host={host!r}"])
    kept = tmp_path / "token"
    kept.write_text(TOKEN + "\n", encoding="utf-8")
    settings = load(overrides=["metrics.host='0.0.0.0'", f"metrics.token_file='{kept}'"])
    token = settings.metrics.resolved_token()
    assert token is not None
    assert token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize("content", ["", "short"])
def test_a_token_file_that_holds_no_token_is_no_leave_to_go_without(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "token"
    kept.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match="at least 20 characters"):
        Metrics(token_file=kept).resolved_token()
    with pytest.raises(SettingsError, match="cannot be read"):
        Metrics(token_file=tmp_path / "none").resolved_token()
