"""`spendstream`: the commands. Exit status 0: done; 1: failed; 2: the user's mistake, with one line that says what."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from streams import logs

# Each is `streams/commands/NAME.py`, which holds a function of that name, or an `app` of its own.
COMMANDS = (
    "demo", "console", "worker", "api", "init", "send", "warm", "replay", "report", "diff", "backtest", "export",
    "price", "reprice", "restate", "doctor", "schema", "tag", "owners", "alerts", "remedies", "dead-letters",
)  # fmt: skip


class Commands(TyperGroup):
    """Imports a command when it is asked for: what `backtest` compares with must not slow a worker's start."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  as the base class has it
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"streams.commands.{name}")
        holder = typer.Typer()
        holder.callback()(lambda: None)  # without one a holder of one command would be that command
        if hasattr(module, "app"):
            holder.add_typer(module.app, name=cmd_name)
        else:
            holder.command(cmd_name)(getattr(module, name))
        group: Any = get_group(holder)
        return group.commands[cmd_name]


app = typer.Typer(
    cls=Commands,
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
