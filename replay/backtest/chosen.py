"""The settings that a backtest was run with, or chose, as TOML that `spendstream worker --config` takes."""

from __future__ import annotations

from typing import Any

import tomli_w

from streams.settings import Settings

SECTIONS = ("limits", "prices", "roll", "detect", "alerts")
NOT_OURS = {"receivers", "alertmanager_url", "console_url", "api"}  # of [alerts]: where it goes, and with what secrets


def to_toml(settings: Settings, why: str) -> str:
    """What decides about findings and alerts, where it is not the default. Never a receiver, never a secret."""
    changed = settings.model_dump(mode="json", include=set(SECTIONS), exclude_defaults=True, exclude_none=True)
    tables: dict[str, Any] = {}
    for section in SECTIONS:
        values = changed.get(section, {})
        ours = {name: value for name, value in values.items() if section != "alerts" or name not in NOT_OURS}
        if ours:
            tables[section] = ours
    comment = "".join(f"# {line}\n" for line in why.splitlines())
    return comment + ("\n" + tomli_w.dumps(tables) if tables else "# The defaults: nothing needs to be set.\n")
