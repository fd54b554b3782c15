"""`spendstream init`: create or upgrade topics and tables. May be repeated."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console

from streams.commands.common import ConfigOption, Failed, SetOption, settings_of
from streams.io import clickhouse
from streams.io.clickhouse import StoreError
from streams.io.migrations import MigrationError
from streams.io.topics import TopicsError, create_topics


def init(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Create the topics and tables that are missing, and say what was there and what differs."""
    settings = settings_of(config, overrides)
    console = Console(soft_wrap=True)
    try:
        states = asyncio.run(create_topics(settings))
    except TopicsError as error:
        raise Failed(str(error)) from None
    for state in states:
        console.print(f"topic {state.name}: {state.outcome}{''.join(f', {d}' for d in state.differences)}")
    try:
        with clickhouse.connect(settings.clickhouse) as store:
            applied = store.migrate()
    except (StoreError, MigrationError) as error:
        raise Failed(str(error)) from None
    for name in applied:
        console.print(f"table migration {name}: applied")
    if not applied:
        console.print("tables: up to date")
    if any(state.outcome == "differs" for state in states):
        typer.echo("some topics differ from the contract; they were left as they are", err=True)
