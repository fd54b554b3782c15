"""`spendstream console`: live spend, the inbox of alerts, and what to do about them, in a browser."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from streams import logs
from streams.api.actions import KafkaActions
from streams.app import utc_now
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.console.app import ConsoleService
from streams.io import clickhouse
from streams.settings import Settings, SettingsError


def console(
    config: ConfigOption = None,
    overrides: SetOption = None,
    host: Annotated[str, typer.Option("--host", help="address to listen on (setting console.host)")] = "",
    port: Annotated[int, typer.Option("--port", min=-1, max=65_535, help="0: a free one (setting console.port)")] = -1,
) -> None:
    """Serve the console until Ctrl-C. It reads ClickHouse, and writes what people ask for to Kafka.

    On loopback it asks for no token; on any other address people log in with one of `api.tokens`.
    """
    settings = settings_of(config, overrides)
    changed = {**({"host": host} if host else {}), **({"port": port} if port >= 0 else {})}
    settings = settings.model_copy(update={"console": settings.console.model_copy(update=changed)})
    logs.configure()
    try:
        asyncio.run(_serve(settings))
    except SettingsError as error:
        raise UserError("settings: " + "; ".join(error.faults)) from None
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise Failed(str(error)) from None


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    store = clickhouse.connect(
        settings.clickhouse.model_copy(update={"timeout_seconds": settings.console.query_timeout_seconds})
    )
    async with KafkaActions(settings) as actions:
        service = ConsoleService(settings, store, actions, utc_now)
        try:
            await service.start()
            typer.echo(f"console: {service.url}")
            await stop.wait()
        finally:
            await service.stop()
            await asyncio.to_thread(store.close)
