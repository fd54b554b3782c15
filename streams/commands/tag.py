"""`spendstream tag`: who owns an event and why, and what the rules would make of many, before they are live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from schemas.base import plain_decimal
from schemas.events import UsageEvent
from schemas.records import Position
from streams.commands.common import ConfigOption, SetOption, UserError, settings_of
from streams.core.price import Pricer
from streams.core.tag import Looked, Share, Tagger, split
from streams.core.tag.owner import UNALLOCATED
from streams.core.usage.bounds import Bounds
from streams.core.usage.decode import RawRecord, decode
from streams.io.rates import load_pricer
from streams.io.rules import load_tagger
from streams.settings import Settings

app = typer.Typer(help="Who owns what: explain one event, or try the rules on many.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="JSON in place of text")]
ZERO = Decimal(0)


@app.command()
def explain(
    event: Annotated[Path, typer.Argument(help="a file of one CloudEvent, or - for standard input")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Which rules were asked about an event, which one decided, and why."""
    tagger = _tagger(settings_of(config, overrides))
    for found in _events([event]):
        shares, looked = tagger.explain(found)
        if as_json:
            content = {
                "source": found.source,
                "id": found.id,
                "owners": [_owner(share) for share in shares],
                "asked": [asdict(step) for step in looked],
            }
            typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
        else:
            _show(found, shares, looked)


@app.command(name="try")
def try_rules(
    files: Annotated[list[Path], typer.Argument(help="NDJSON files of events, or - for standard input")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """What the rules make of many events: dollars by rule and team, and how many are allocated. Changes nothing."""
    settings = settings_of(config, overrides)
    tagger, pricer = _tagger(settings), _pricer(settings)
    dollars: dict[tuple[str, str], Decimal] = {}
    left_out = 0  # no exchange rate puts them into USD
    for event in _events(files):
        priced = pricer.price(event)
        amount = priced.effective_cost_usd if priced.effective_cost_usd is not None else priced.estimated_cost
        shares = tagger.tag(event)
        if amount is None:
            left_out += 1
            continue
        for share, part in zip(shares, split(amount, shares), strict=True):
            key = (share.owner.allocation, share.owner.team)
            dollars[key] = dollars.get(key, ZERO) + part
    total = sum(dollars.values(), ZERO)
    owned = sum((amount for (rule, _), amount in dollars.items() if rule != UNALLOCATED), ZERO)
    coverage = float(owned / total) if total else None
    rows = sorted(dollars.items(), key=lambda row: -row[1])
    if as_json:
        content = {
            "usd": plain_decimal(total),
            "coverage": coverage,
            "not_in_usd": left_out,
            "owners": [{"allocation": r, "team": t, "usd": plain_decimal(amount)} for (r, t), amount in rows],
        }
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("decided by", "team", "USD")
    for (rule, team), amount in rows:
        table.add_row(rule, team or "-", f"{amount:,.2f}")
    console = Console()
    console.print(table)
    covered = "-" if coverage is None else f"{coverage:.1%}"
    console.print(f"{total:,.2f} USD, {covered} of them allocated (unpriced events at their estimate)", highlight=False)
    if left_out:
        console.print(f"{left_out} events in currencies without an exchange rate are not in it", highlight=False)


def _show(event: UsageEvent, shares: tuple[Share, ...], looked: list[Looked]) -> None:
    typer.echo(f"{event.source} {event.id}")
    for step in looked:
        typer.echo(f"  {'decided' if step.decided else 'passed '}  {step.name}: {step.why}")
    for share in shares:
        owner = _owner(share)
        named = ", ".join(f"{name}={value}" for name, value in owner.items() if value and name != "fraction")
        typer.echo(f"  {float(share.fraction):8.2%}  {named}")


def _owner(share: Share) -> dict[str, Any]:
    return {**asdict(share.owner), "fraction": str(share.fraction)}


def _tagger(settings: Settings) -> Tagger:
    try:
        return load_tagger(settings.prices.rules_file, settings.prices.owners_file)
    except ValueError as error:
        raise UserError(str(error)) from None


def _pricer(settings: Settings) -> Pricer:
    try:
        return load_pricer(settings.prices.rates_dir, settings.prices.fx_file)
    except ValueError as error:
        raise UserError(str(error)) from None


def _events(files: list[Path]) -> Iterator[UsageEvent]:
    """The events of files: one JSON value (an event or an array of them), or one to a line."""
    bounds = Bounds(max_record_bytes=1 << 30)
    for file in files:
        content = _content(file)
        for number, value in _values(content):
            decoded = decode(RawRecord(value, (), Position(str(file), 0, number), None), bounds)
            for letter in decoded.dead_letters:
                where = f"{file}: line {number}" if number else str(file)
                raise UserError(f"{where}: {letter.reason.value} {letter.field} {letter.problem}".rstrip())
            yield from decoded.events


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from None


def _values(content: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        orjson.loads(content)
    except ValueError:
        lines = [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
        yield from lines or [(0, content)]
    else:
        yield 0, content
