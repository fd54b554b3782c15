"""`python -m streams.io.clickhouse_server`: serve a folder until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from streams.io.clickhouse_server.app import User, make_app
from streams.io.clickhouse_server.engine import Engine, EngineError
from streams.io.http import Loopback

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PASSWORD = "SPENDSTREAM_CLICKHOUSE__PASSWORD"  # noqa: S105  a variable's name, the one that the client reads


def main(
    path: Annotated[Path, typer.Option(help="where the data is kept; made when it is missing")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8123,
    host: Annotated[str, typer.Option(help="beyond loopback it needs a password")] = "127.0.0.1",
    user: Annotated[str, typer.Option(help=f"its password comes from {PASSWORD}")] = "default",
) -> None:
    """Serve the ClickHouse engine over HTTP. One process a path."""
    password = os.environ.get(PASSWORD, "")
    if host not in LOOPBACK and not password:
        typer.echo(f"Error: --host {host}: set {PASSWORD}, or stay on loopback", err=True)
        raise typer.Exit(2)
    try:
        with Engine(path) as engine:
            asyncio.run(_serve(Loopback(make_app(engine, User(user, password)), host, port)))
    except (EngineError, OSError) as error:
        typer.echo(f"Error: {str(error).splitlines()[0]}", err=True)
        raise typer.Exit(1) from None


async def _serve(server: Loopback) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await server.start()
    typer.echo("http://{}:{}".format(*server.address))
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    typer.run(main)
