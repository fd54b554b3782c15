"""`spendstream`: the commands. Exit status 0: done; 1: failed; 2: the user's mistake, with one line that says what."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from streams import logs
from streams.commands import alerts, dead_letters, owners, remedies, tag
from streams.commands.api import api
from streams.commands.backtest import backtest
from streams.commands.console import console
from streams.commands.demo import demo
from streams.commands.diff import diff
from streams.commands.doctor import doctor
from streams.commands.export import export
from streams.commands.init import init
from streams.commands.price import price
from streams.commands.replay import replay
from streams.commands.report import report
from streams.commands.reprice import reprice
from streams.commands.restate import restate
from streams.commands.schema import schema
from streams.commands.send import send
from streams.commands.warm import warm
from streams.commands.worker import worker

app = typer.Typer(
    help="Watches AI and cloud spend while it is being spent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its frames show local variables, which may hold secrets
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("spendstream"))
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")] = False,
) -> None:
    logs.quiet()


COMMANDS = (
    demo, console, worker, api, init, send, warm, replay, report, diff, backtest, export, price, reprice,
    restate, doctor, schema,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(tag.app, name="tag")
app.add_typer(owners.app, name="owners")
app.add_typer(alerts.app, name="alerts")
app.add_typer(remedies.app, name="remedies")
app.add_typer(dead_letters.app, name="dead-letters")
