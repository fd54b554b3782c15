"""The HTTP API, version 1. Reading takes a token; asking for a change takes one of an operator.

    GET  /api/v1/me                                    who the token is
    GET  /api/v1/alerts?state=&severity=&team=&before=&limit=
    GET  /api/v1/alerts/{alert_id}                     with history, findings and remedies
    POST /api/v1/alerts/{alert_id}/ack                 {"note"?}; also unack, resolve, reopen
    POST /api/v1/alerts/{alert_id}/snooze              {"minutes", "note"?}
    POST /api/v1/alerts/{alert_id}/feedback            {"says": "false_positive" | "expected", "note"?}
    GET  /api/v1/remedies?alert_id=
    POST /api/v1/remedies/{remedy_id}/approve          also undo
    GET  /health

A POST answers 200 with the change that it made; 409 with why it was refused; 202 when that is not known in time. It may
be repeated with the same `Idempotency-Key`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import orjson
import structlog
from aiokafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from schemas.base import plain_decimal
from schemas.oncall import ActionKind, AlertAction, AlertState, Note
from schemas.watch import Severity
from streams.api.access import Access, Caller
from streams.api.actions import Actions, make_action
from streams.api.errors import ApiError, respond
from streams.api.reading import MOST, AlertReader, Filter, Row
from streams.io.clickhouse import StoreError

MOST_BODY_BYTES = 16_384
LOOK_SECONDS = 0.15
T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

log = structlog.get_logger(__name__)


class Asked(BaseModel):
    """The body of an action."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    note: Note = ""


class AskedSnooze(Asked):
    """The body of a snooze: how long from now."""

    minutes: Annotated[float, Field(gt=0, le=30 * 24 * 60)]


class AskedFeedback(Asked):
    """What somebody says of an alert."""

    says: Literal["false_positive", "expected"]


@dataclass(frozen=True, slots=True)
class Api:
    """What the handlers share. `clock` gives aware UTC."""

    reader: AlertReader
    actions: Actions
    access: Access
    clock: Callable[[], datetime]
    wait_seconds: float = 5.0

    async def me(self, request: Request) -> Response:
        caller = self.access.caller(request)
        return reply({"name": caller.name, "role": caller.role})

    async def alerts(self, request: Request) -> Response:
        self.access.caller(request)
        rows = await stored(self.reader.alerts, _filter(request))
        return reply({"alerts": rows})

    async def alert(self, request: Request) -> Response:
        self.access.caller(request)
        found = await self._alert(request.path_params["alert_id"])
        alert_id = found["alert_id"]
        return reply(
            {
                "alert": found,
                "changes": await stored(self.reader.changes, alert_id),
                "findings": await stored(self.reader.findings, found["findings"]),
                "remedies": await stored(self.reader.remedies, alert_id),
            }
        )

    async def act(self, request: Request) -> Response:
        """ack, unack, resolve, reopen."""
        what = ActionKind(request.path_params["what"])
        caller, asked = await self._asked(request, Asked)
        alert = await self._alert(request.path_params["alert_id"])
        return await self._do(request, caller, alert["alert_id"], what, note=asked.note)

    async def snooze(self, request: Request) -> Response:
        caller, asked = await self._asked(request, AskedSnooze)
        alert = await self._alert(request.path_params["alert_id"])
        length = timedelta(minutes=asked.minutes)
        return await self._do(request, caller, alert["alert_id"], ActionKind.SNOOZE, note=asked.note, snooze=length)

    async def feedback(self, request: Request) -> Response:
        caller, asked = await self._asked(request, AskedFeedback)
        alert = await self._alert(request.path_params["alert_id"])
        return await self._do(request, caller, alert["alert_id"], ActionKind(asked.says), note=asked.note)

    async def remedies(self, request: Request) -> Response:
        self.access.caller(request)
        return reply({"remedies": await stored(self.reader.remedies, request.query_params.get("alert_id", ""))})

    async def remedy(self, request: Request) -> Response:
        """approve, undo."""
        what = ActionKind(f"{request.path_params['what']}_remedy")
        caller, asked = await self._asked(request, Asked)
        remedy_id = request.path_params["remedy_id"]
        found = await stored(self.reader.remedy, remedy_id)
        if found is None:
            raise ApiError(404, "not_found", "there is no remedy of this id")
        return await self._do(request, caller, found["alert_id"], what, note=asked.note, remedy_id=remedy_id)

    async def health(self, _: Request) -> Response:
        return reply({"live": True})

    async def _alert(self, alert_id: str) -> Row:
        found = await stored(self.reader.alert, alert_id)
        if found is None:
            raise ApiError(404, "not_found", "there is no alert of this id")
        return found

    async def _asked(self, request: Request, model: type[B]) -> tuple[Caller, B]:
        return self.access.caller(request, to_act=True), await _body(request, model)

    async def _do(self, request: Request, caller: Caller, alert_id: str, what: ActionKind, **more: Any) -> Response:
        action = make_action(
            alert_id, what, who=caller.name, via="api", at=self.clock(), action_id=_key(request, caller), **more
        )
        return await self.perform(action)

    async def perform(self, action: AlertAction) -> Response:
        """Send an action and wait, for a moment, for what becomes of it."""
        try:
            await self.actions.send(action)
        except (KafkaError, TimeoutError) as error:
            log.warning("action is not sent", error=type(error).__name__)
            raise ApiError(503, "unavailable", "the broker does not answer: nothing was changed, try again") from None
        change = await self._outcome(action.action_id)
        taken = {"action_id": action.action_id, "alert_id": action.alert_id, "what": action.what.value}
        if change is None:
            return reply({**taken, "change": None}, 202)
        if change.get("what") == "refused" or (change.get("state") == "refused"):
            raise ApiError(409, "refused", change["note"])
        return reply({**taken, "change": change})

    async def _outcome(self, action_id: str) -> Row | None:
        until = time.monotonic() + self.wait_seconds
        while time.monotonic() < until:
            if (found := await stored(self.reader.outcome, action_id)) is not None:
                return found
            await asyncio.sleep(LOOK_SECONDS)
        return None


def routes(api: Api) -> Sequence[BaseRoute]:
    """The routes, to be served alone or beside others (the console's)."""
    return [
        Route("/api/v1/me", api.me),
        Route("/api/v1/alerts", api.alerts),
        Route("/api/v1/alerts/{alert_id}", api.alert),
        *(
            Route(f"/api/v1/alerts/{{alert_id}}/{what}", _given(api.act, what), methods=["POST"])
            for what in ("ack", "unack", "resolve", "reopen")
        ),
        Route("/api/v1/alerts/{alert_id}/snooze", api.snooze, methods=["POST"]),
        Route("/api/v1/alerts/{alert_id}/feedback", api.feedback, methods=["POST"]),
        Route("/api/v1/remedies", api.remedies),
        *(
            Route(f"/api/v1/remedies/{{remedy_id}}/{what}", _given(api.remedy, what), methods=["POST"])
            for what in ("approve", "undo")
        ),
        Route("/health", api.health),
    ]


def make_app(api: Api, *more: BaseRoute) -> Starlette:
    """The application: the API's routes and `more`, with errors as JSON."""
    return Starlette(
        routes=[*routes(api), *more],
        exception_handlers={ApiError: respond, HTTPException: respond},
    )


def reply(content: Any, status: int = 200) -> Response:
    """A response of JSON."""
    return Response(as_json(content), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def as_json(content: Any) -> bytes:
    """JSON: money as text, exact; times as RFC 3339."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if hasattr(value, "quantize"):
        return plain_decimal(value.normalize() if value else value)
    raise TypeError


def _given(handler: Callable[[Request], Awaitable[Response]], what: str) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        request.path_params["what"] = what
        return await handler(request)

    return handle


async def stored(call: Callable[..., T], *args: Any) -> T:
    """A call of the store, in a thread. Raises ApiError 503 while the store is away."""
    try:
        return await asyncio.to_thread(call, *args)
    except StoreError as error:
        log.warning("the store can't be read", problem=str(error))
        raise ApiError(503, "unavailable", "ClickHouse does not answer, try again") from None


async def _body(request: Request, model: type[B]) -> B:
    """The body as `model`; an empty one is `{}`."""
    text = b""
    async for chunk in request.stream():
        text += chunk
        if len(text) > MOST_BODY_BYTES:
            raise ApiError(413, "too_large", f"the body must not be larger than {MOST_BODY_BYTES} bytes")
    if text and request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(415, "not_json", "the body must be application/json")
    try:
        return model.model_validate_json(text or b"{}")
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        said = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults)
        raise ApiError(422, "invalid", said) from None


def _filter(request: Request) -> Filter:
    query = request.query_params
    try:
        states = query.get("state", "open")
        return Filter(
            states=Filter().states if states == "open" else _many(AlertState, "" if states == "all" else states),
            severities=_many(Severity, query.get("severity", "")),
            team=query.get("team", ""),
            before=_time(query.get("before", "")),
            limit=_limit(query.get("limit", "100")),
        )
    except ValueError as error:
        raise ApiError(422, "invalid", str(error)) from None


E = TypeVar("E", AlertState, Severity)


def _many(kind: type[E], text: str) -> tuple[E, ...]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in set(kind)]:
        known = ", ".join(kind)
        raise ValueError(f"{len(unknown)} of the names in state or severity are unknown; there are {known}")
    return tuple(kind(name) for name in names)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("before: must be a time in RFC 3339, such as 2026-11-21T06:33:00Z") from None
    if found.tzinfo is None:
        raise ValueError("before: must have a zone")
    return found


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(f"limit: must be a number from 1 to {MOST}")
    return int(text)


def _key(request: Request, caller: Caller) -> str:
    """The action's id, from the caller's own key where there is one, so that a repeated request is one action."""
    given = request.headers.get("idempotency-key", "")
    if not given:
        return ""
    return hashlib.sha256(f"{caller.name}\0{request.url.path}\0{given}".encode()).hexdigest()[:32]
