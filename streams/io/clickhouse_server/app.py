"""The HTTP server around the engine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.io.clickhouse_server import protocol
from streams.io.clickhouse_server.engine import Engine, EngineError

OK = "Ok.\n"


@dataclass(frozen=True, slots=True)
class User:
    """The one who may ask. An empty password lets everybody in who gives none."""

    name: str = "default"
    password: str = ""

    def is_by(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Whether a request comes from this user: by ClickHouse's headers, basic authentication, or parameters."""
        name, password = _credentials(query, headers)
        same = secrets.compare_digest(password.encode(), self.password.encode())
        return secrets.compare_digest(name.encode(), self.name.encode()) and same


def make_app(engine: Engine, user: User) -> Starlette:
    """The server's routes. Statements run in threads: the engine lets go of the interpreter while it works."""

    async def ask(request: Request) -> Response:
        query, headers = request.query_params, request.headers
        try:
            if not user.is_by(query, headers):
                raise protocol.denied()
            body = await request.body()
            asked = protocol.statement(query, headers, body)
            result = await asyncio.to_thread(engine.run, asked)
        except EngineError as error:
            return protocol.refusal(error)
        return protocol.answer(asked, result, query, headers)

    async def ping(_: Request) -> Response:
        return PlainTextResponse(OK)

    return Starlette(
        routes=[Route("/ping", ping), Route("/", ask, methods=["POST"]), Route("/", ping, methods=["GET"])]
    )


def _credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    return query.get("user", "default"), query.get("password", "")
