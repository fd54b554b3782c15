"""`spendstream api`: the HTTP API and the pages behind the one-click links."""

from __future__ import annotations

import asyncio
import signal

import structlog

from streams import logs
from streams.api.access import Access
from streams.api.actions import KafkaActions
from streams.api.app import Api, make_app
from streams.api.links import LinkPages, link_routes
from streams.api.reading import AlertReader
from streams.app import utc_now
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.io import clickhouse
from streams.io.http import Loopback
from streams.settings import Settings

log = structlog.get_logger(__name__)


def api(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM. It needs at least one token (api.tokens)."""
    settings = settings_of(config, overrides)
    try:
        access, secret = Access.of(settings.api), settings.api.link_secret()
    except ValueError as error:
        raise UserError(str(error)) from None
    logs.configure()
    try:
        asyncio.run(_serve(settings, access, secret.get_secret_value() if secret else ""))
    except (OSError, ValueError) as error:
        raise Failed(str(error)) from None


async def _serve(settings: Settings, access: Access, secret: str) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    store = clickhouse.connect(settings.clickhouse)
    async with KafkaActions(settings) as actions:
        api = Api(AlertReader(store), actions, access, utc_now, settings.api.wait_seconds)
        more = link_routes(LinkPages(api, secret, utc_now)) if secret else []
        server = Loopback(make_app(api, *more), settings.api.host, settings.api.port)
        await server.start()
        host, port = server.address
        log.info("api is up", url=f"http://{host}:{port}/api/v1/", links=bool(secret))
        try:
            await stop.wait()
        finally:
            await server.stop()
            await asyncio.to_thread(store.close)
