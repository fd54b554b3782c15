"""Stands between the workers and ClickHouse and lies: away, an error before, an error or silence after it was done."""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import Enum

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.io.http import Loopback

SILENCE_SECONDS = 3600.0
SKIP = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class Mode(Enum):
    """What becomes of requests. The `AFTER` ones are done by ClickHouse, and the worker doesn't hear it."""

    PASS = "pass"  # noqa: S105  no secret
    AWAY = "away"
    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    SILENT_AFTER = "silent after"


class Proxy:
    """Inserts meet the mode; queries do too when it is AWAY. `done` counts what each mode did."""

    def __init__(self, target: str) -> None:
        self.mode = Mode.PASS
        self.every = 1  # of so many inserts one meets the mode
        self.done: Counter[Mode] = Counter()
        self._target = target
        self._inserts = 0
        self._client = httpx.AsyncClient(timeout=60.0)
        routes = [Route("/{path:path}", self._pass_on, methods=["GET", "POST"])]
        self._server = Loopback(Starlette(routes=routes), "127.0.0.1", 0)
        self._silences: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self._server.address)

    async def __aenter__(self) -> Proxy:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for silence in self._silences:
            silence.cancel()
        self._server.force_exit = True
        await self._server.stop()
        await self._client.aclose()

    async def _pass_on(self, request: Request) -> Response:
        body = await request.body()
        mode = self._mode(request, body)
        self.done[mode] += 1
        if mode is Mode.AWAY:
            return PlainTextResponse("Code: 210. DB::NetException: injected. (NETWORK_ERROR)", status_code=503)
        if mode is Mode.ERROR_BEFORE:
            return _error()
        answer = await self._ask(request, body)
        if mode is Mode.ERROR_AFTER:
            return _error()
        if mode is Mode.SILENT_AFTER:
            silence = asyncio.create_task(asyncio.sleep(SILENCE_SECONDS))
            self._silences.add(silence)
            await asyncio.wait([silence])
        return answer

    def _mode(self, request: Request, body: bytes) -> Mode:
        insert = body[:6].upper() == b"INSERT" or request.query_params.get("query", "")[:6].upper() == "INSERT"
        if "content-encoding" in request.headers:
            insert = True  # only inserts are sent compressed
        if self.mode is Mode.AWAY:
            return Mode.AWAY
        if not insert:
            return Mode.PASS
        self._inserts += 1
        return self.mode if self._inserts % self.every == 0 else Mode.PASS

    async def _ask(self, request: Request, body: bytes) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in SKIP]
        url = f"{self._target}{request.url.path}"
        try:
            async with self._client.stream(
                request.method, url, params=list(request.query_params.multi_items()), headers=headers, content=body
            ) as answer:
                content = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx.HTTPError as error:
            return PlainTextResponse(f"Code: 210. {type(error).__name__}. (NETWORK_ERROR)", status_code=502)
        kept = {name: value for name, value in answer.headers.items() if name not in SKIP}
        return Response(content, status_code=answer.status_code, headers=kept)


def _error() -> Response:
    headers = {"X-ClickHouse-Exception-Code": "159"}
    return PlainTextResponse("Code: 159. DB::Exception: injected. (TIMEOUT_EXCEEDED)", 500, headers=headers)
