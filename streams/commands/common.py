"""What the commands share: their options, their exit statuses (0 done, 1 failed, 2 the user's mistake)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.settings import Settings, SettingsError, load

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="the TOML file (default: spendstream.toml, or SPENDSTREAM_CONFIG)")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="override one setting: --set alerts.min_excess_usd=1")
]


class Failed(typer.Exit):
    """It could not be done, and not by the user's mistake: one line on standard error; exit status 1.

    (An Exit, for typer carries its own copy of click and lets the exceptions of click itself through as tracebacks.)
    """

    status = 1

    def __init__(self, message: str) -> None:
        super().__init__(self.status)
        typer.echo(f"Error: {message}", err=True)


class UserError(Failed):
    """The user's mistake: one line that says what and where; exit status 2."""

    status = 2


def settings_of(config: Path | None, overrides: list[str] | None) -> Settings:
    """The settings, or a UserError that names every fault."""
    try:
        return load(config, overrides)
    except SettingsError as error:
        raise UserError("settings: " + "; ".join(error.faults)) from None
