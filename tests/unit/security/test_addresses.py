"""Nothing listens beyond this machine unless somebody has said so."""

from __future__ import annotations

from streams.settings import LOOPBACK, Settings

SERVING = ("metrics", "api", "console")


def test_whatever_listens_is_on_loopback_by_default() -> None:
    settings = Settings()
    hosts = {
        name: getattr(settings, name).host for name in Settings.model_fields if hasattr(getattr(settings, name), "host")
    }
    assert tuple(hosts) == SERVING, "a new server is named here, and told what it asks for beyond loopback"
    assert set(hosts.values()) <= set(LOOPBACK)
