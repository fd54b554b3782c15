"""Puts the console together: `make_console` for the application, `ConsoleService` to run it beside others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from mode import Service
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from streams.api.actions import Actions
from streams.api.reading import AlertReader
from streams.console.guard import LOOPBACK, Guard
from streams.console.latest import Latest
from streams.console.pages import Pages
from streams.console.queries import Queries
from streams.console.render import STATIC
from streams.console.sessions import Sessions
from streams.console.views import Views
from streams.io.http import Loopback
from streams.settings import Settings

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {path.name: path for path in STATIC.iterdir() if path.suffix in KINDS}
FOR_EVER = "public, max-age=31536000, immutable"  # their address holds their version


class ConsoleService(Service):
    """Serves the console until stopped. Raises OSError where its port can't be had."""

    def __init__(self, settings: Settings, store: Queries, actions: Actions, clock: Callable[[], datetime]) -> None:
        """Raises ValueError where the settings would let anybody in, or a token can't be had."""
        super().__init__()
        check(settings)
        self.pages = make_pages(settings, store, actions, clock)
        self._latest = self.pages.views.latest
        self._server = Loopback(make_app(self.pages), settings.console.host, settings.console.port)

    @property
    def url(self) -> str:
        """Where it is, once started."""
        host, port = self._server.address
        return f"http://{'[' + host + ']' if ':' in host else host}:{port}"

    async def on_start(self) -> None:
        await self._server.start()

    async def on_stop(self) -> None:
        self.pages.stopping.set()  # open pages hold their connections, and the server waits for them
        await self._server.stop()
        await self._latest.stop()


def check(settings: Settings) -> None:
    """Raises ValueError where the console would be open to others without a token."""
    if settings.console.host not in LOOPBACK and not settings.api.tokens:
        raise ValueError(
            "console.host: beyond this machine the console asks for a token: add [[api.tokens]] with a name, "
            "a role (read, operator) and a token_file or token_env"
        )


def make_pages(settings: Settings, store: Queries, actions: Actions, clock: Callable[[], datetime]) -> Pages:
    """The handlers, with what they share."""
    console = settings.console
    return Pages(
        views=Views(store, Latest(clock, patience_seconds=1.0), console.poll_seconds),
        sessions=Sessions(settings.api, clock, timedelta(hours=console.session_hours)),
        actions=actions,
        reader=AlertReader(store),
        clock=clock,
        poll_seconds=console.poll_seconds,
        wait_seconds=settings.api.wait_seconds,
        max_viewers=console.max_viewers,
        is_https=settings.alerts.console_url.startswith("https://"),
    )


def make_app(pages: Pages) -> Starlette:
    """The application."""
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/alerts", pages.page),
            Route("/alerts/{alert_id}", pages.page),
            Route("/alerts/{alert_id}/actions", pages.act, methods=["POST"]),
            Route("/events", pages.events),
            Route("/login", pages.login, methods=["GET", "POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/health", pages.health),
            Route("/static/{name}", static),
        ],
        middleware=[
            Middleware(Guard, loopback_only=not pages.sessions.asks, is_https=pages.is_https),
        ],
        exception_handlers={404: pages.missing},
    )


async def static(request: Request) -> Response:
    """A style sheet, a script or the icon; nothing else of the folder."""
    path = FILES.get(request.path_params["name"])
    if path is None:
        return Response(status_code=404)
    return FileResponse(path, media_type=KINDS[path.suffix], headers={"Cache-Control": FOR_EVER})
