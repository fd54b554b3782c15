"""`/metrics` and `/health` on one small server, bound to loopback unless told otherwise.

`/health/live` is what a supervisor restarts on, `/health/ready` what a load balancer asks; `/health` wants both. With a
token `/metrics` asks for it; the health pages, which probes ask, then answer with their status and without the stages.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Health:
    """`live`: the process should go on. `ready`: every stage has its partitions. `stages` says which is what."""

    live: bool
    ready: bool
    stages: dict[str, str]


class Loopback(uvicorn.Server):
    """A server inside this process: no signal handlers (Ctrl-C is the worker's), and a port in use is an OSError."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once started; port 0 was a free one."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listen. Raises OSError naming address and port when they can't be had."""
        self._task = asyncio.create_task(self._listen())
        while not self.started:
            if self._task.done():
                self._task.result()
                raise OSError(f"{self.config.host}:{self.config.port}: the server did not start")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Finish the requests in hand and close."""
        self.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)  # why it failed was raised by start

    async def _listen(self) -> None:
        try:
            await self._serve()
        except SystemExit:
            raise OSError(f"{self.config.host}:{self.config.port} can't be bound; choose another port") from None


class HttpServer(Service):
    """Serves the metrics and the health of a worker until stopped."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        token: SecretStr | None = None,
    ) -> None:
        super().__init__()
        known = _known(token)
        routes = [
            Route("/metrics", _metrics(registry, known)),
            Route("/health", _health(health, lambda now: now.live and now.ready, known)),
            Route("/health/live", _health(health, lambda now: now.live, known)),
            Route("/health/ready", _health(health, lambda now: now.ready, known)),
        ]
        self._server = Loopback(Starlette(routes=routes), host, port)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once started."""
        return self._server.address

    async def on_start(self) -> None:
        await self._server.start()

    async def on_stop(self) -> None:
        await self._server.stop()


def _known(token: SecretStr | None) -> Callable[[Request], bool]:
    """Whether a request brings the token; every one does where there is none. In a time that tells nothing of it."""
    if token is None:
        return lambda _: True
    expected = f"Bearer {token.get_secret_value()}".encode()
    return lambda request: hmac.compare_digest(request.headers.get("authorization", "").encode(), expected)


def _metrics(registry: CollectorRegistry, known: Callable[[Request], bool]) -> Callable[[Request], Response]:
    def metrics(request: Request) -> Response:
        if not known(request):
            return Response("a bearer token is needed\n", status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _health(
    health: Callable[[], Health], good: Callable[[Health], bool], known: Callable[[Request], bool]
) -> Callable[[Request], Response]:
    def respond(request: Request) -> Response:
        now = health()
        body = {"live": now.live, "ready": now.ready, "stages": now.stages} if known(request) else {}
        return JSONResponse(body, status_code=200 if good(now) else 503)

    return respond
