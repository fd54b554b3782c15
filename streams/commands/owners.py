"""`spendstream owners`: the owner directory on its topic, which the price stage follows."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.rules import DIMENSIONS, OwnerEntry
from streams import build
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.core.tag import Owner, Tagger
from streams.io.owners import publish_owners, read_owners
from streams.io.rules import load_owners
from streams.io.topics import TopicsError, partition_counts
from streams.settings import Settings

T = TypeVar("T")
app = typer.Typer(help="Whom each API key, user or service account works for.", no_args_is_help=True)
Principal = Annotated[str, typer.Argument(help="the id of an API key, a user, a service account; never a key itself")]


@app.command(name="set")
def set_owner(
    principal: Principal,
    *,
    team: Annotated[str, typer.Option(help="whom it works for")],
    project: Annotated[str, typer.Option()] = "",
    environment: Annotated[str, typer.Option()] = "",
    feature: Annotated[str, typer.Option()] = "",
    cost_center: Annotated[str, typer.Option()] = "",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """From now on the principal works for this team."""
    given = {"team": team, "project": project, "environment": environment, "feature": feature,
             "cost_center": cost_center}  # fmt: skip
    try:
        entry = OwnerEntry.model_validate({"principal": principal, **given})
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise UserError("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in faults)) from None
    _publish(settings_of(config, overrides), {entry.principal: Owner(**entry.model_dump())})


@app.command()
def remove(principal: Principal, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """From now on nobody is known to own the principal."""
    _publish(settings_of(config, overrides), {principal: None})


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV with the columns principal, team, ..., or TOML with [[owner]]")],
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Put a file's entries on the topic. Principals that it doesn't name keep their owners."""
    settings = settings_of(config, overrides)
    try:
        entries = load_owners(file)
    except ValueError as error:
        raise UserError(str(error)) from None
    _publish(settings, entries)


@app.command(name="list")
def list_owners(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """The directory as the topic has it, as CSV: what `load`, prices.owners_file and so `replay` take."""
    entries = _run(settings_of(config, overrides), read_owners)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("principal", *DIMENSIONS))
    for principal, owner in sorted(entries.items()):
        if owner is not None:
            writer.writerow((principal, *(getattr(owner, name) for name in DIMENSIONS)))


def followed(settings: Settings) -> Tagger:
    """Rules and owners as the price stage has them: files, and the topic over them. Raises ValueError, Failed."""
    tagger = build.tagger(settings)
    for principal, owner in _run(settings, read_owners).items():
        tagger.learn(principal, owner)
    return tagger


def _publish(settings: Settings, changes: Mapping[str, Owner | None]) -> None:
    _run(settings, lambda known: publish_owners(known, changes))
    typer.echo(f"{len(changes)} entries are on the topic", err=True)


def _run(settings: Settings, make: Callable[[Settings], Awaitable[T]]) -> T:
    """Run what `make` gives on a broker whose topics are there."""

    async def checked() -> T:
        await partition_counts(settings)
        return await make(settings)

    try:
        return asyncio.run(checked())
    except (TopicsError, KafkaError, TimeoutError) as error:
        raise Failed(str(error) or "the broker did not answer in time") from None
