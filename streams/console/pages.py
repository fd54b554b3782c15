"""The handlers: pages, their events, log-in, and what people ask for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import structlog
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from schemas.oncall import ActionKind, AlertAction, ChangeKind
from streams.api.actions import Actions, make_action
from streams.api.reading import AlertReader
from streams.console.render import render
from streams.console.sessions import COOKIE, Session, Sessions
from streams.console.stream import events
from streams.console.views import View, Views
from streams.io.clickhouse import StoreError

MOST_FORM_BYTES = 16_384
MOST_MINUTES = 1_000_000  # more than may be asked for; the contract says how long a snooze may be
LOOK_SECONDS = 0.15

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Pages:
    """What the handlers share. `clock` gives aware UTC; `wait_seconds`: how long an action waits to be seen done."""

    views: Views
    sessions: Sessions
    actions: Actions
    reader: AlertReader
    clock: Callable[[], datetime]
    poll_seconds: float
    wait_seconds: float
    max_viewers: int
    is_https: bool
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    viewers: int = 0

    async def page(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return RedirectResponse(f"/login?next={quote(_here(request))}", 303)
        view = await self.views.at(_here(request))
        if view is None or view.is_missing:
            return self._html("missing.html", 404, session=session, what="alert" if view else "page")
        return self._html(f"{view.name}.html", **self._context(view, session))

    async def events(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return Response(status_code=401)
        if self.viewers >= self.max_viewers:
            return Response("too many open pages", 503)
        return StreamingResponse(
            self._watch(request, session), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def act(self, request: Request) -> Response:
        """What somebody asks of an alert. With a script the answer is JSON, without one the alert's page."""
        alert_id = request.path_params["alert_id"]
        session, form = self._session(request), await _form(request)
        if session is None:
            return _said(request, alert_id, 401, "your session is over: log in again")
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            return _said(request, alert_id, 403, "this form is out of date: load the page anew")
        if not session.caller.may_act:
            return _said(request, alert_id, 403, f"{session.caller.name} may look only: this needs the role operator")
        try:
            action = self._action(alert_id, session, form)
        except (ValidationError, ValueError) as error:
            return _said(request, alert_id, 422, _fault(error))
        try:
            await self.actions.send(action)
        except (KafkaError, TimeoutError) as error:
            log.warning("action is not sent", error=type(error).__name__)
            return _said(request, alert_id, 503, "Kafka does not answer: nothing was changed, try again")
        status, words = await self._outcome(action)
        self.views.forget(alert_id)
        return _said(request, alert_id, status, words)

    async def login(self, request: Request) -> Response:
        following = _local(request.query_params.get("next", "/"))
        if self._session(request) is not None:
            return RedirectResponse(following, 303)
        if request.method == "GET":
            return self._html("login.html", session=None, problem="", following=following)
        form = await _form(request)
        following = _local(form.get("next", "/"))
        problem = "Too many wrong tokens: wait a minute." if self.sessions.is_barred else ""
        cookie = None if problem else self.sessions.open(form.get("token", "").strip())
        if cookie is None:
            problem = problem or "This token is not known."
            return self._html("login.html", 403, session=None, problem=problem, following=following)
        response = RedirectResponse(following, 303)
        response.set_cookie(
            COOKIE, cookie, max_age=self.sessions.seconds, httponly=True, samesite="strict", secure=self.is_https
        )
        return response

    async def logout(self, _: Request) -> Response:
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self.is_https)
        return response

    async def missing(self, request: Request, _: Exception) -> Response:
        return self._html("missing.html", 404, session=self._session(request), what="page")

    async def health(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    def _session(self, request: Request) -> Session | None:
        return self.sessions.read(request.cookies.get(COOKIE, ""))

    def _context(self, view: View, session: Session) -> dict[str, Any]:
        return {**view.context, "view": view, "session": session, "asks": self.sessions.asks, "action_id": _action_id}

    def _html(self, template: str, status: int = 200, **context: Any) -> Response:
        return HTMLResponse(render(template, **{"asks": self.sessions.asks, "view": None, **context}), status)

    async def _watch(self, request: Request, session: Session) -> Any:
        self.viewers += 1
        try:
            url = _local(request.query_params.get("of", "/"))
            async for event in events(
                self.views, url, lambda view: self._context(view, session), self.poll_seconds, self.stopping
            ):
                yield event
                if self._session(request) is None:  # the session's time is over
                    return
        finally:
            self.viewers -= 1

    def _action(self, alert_id: str, session: Session, form: Mapping[str, str]) -> AlertAction:
        what = ActionKind(form.get("what", ""))
        minutes = int(form.get("minutes", "")) if what is ActionKind.SNOOZE else None
        return make_action(
            alert_id, what, who=session.caller.name, via="console", at=self.clock(), note=form.get("note", "").strip(),
            snooze=timedelta(minutes=max(-1, min(minutes, MOST_MINUTES))) if minutes is not None else None,
            remedy_id=form.get("remedy_id", ""),
            action_id=_own_id(session, alert_id, form),
        )  # fmt: skip

    async def _outcome(self, action: AlertAction) -> tuple[int, str]:
        """What became of it, as far as can be seen in time: the HTTP status, and words."""
        until = time.monotonic() + self.wait_seconds
        while time.monotonic() < until and not self.stopping.is_set():
            try:
                change = await asyncio.to_thread(self.reader.outcome, action.action_id)
            except StoreError:
                break
            if change is not None:
                if change["what" if "what" in change else "state"] == ChangeKind.REFUSED:
                    return 409, f"refused: {change['note']}"
                return 200, "done"
            await asyncio.sleep(LOOK_SECONDS)
        return 202, "taken down; it shows here as soon as it is done"


def _action_id(alert_id: str, changes: int, what: str, more: str = "") -> str:
    """What a form's button does, once: pressed twice it is one action; after another change it is a new one."""
    return hashlib.sha256(f"{alert_id}\0{changes}\0{what}\0{more}".encode()).hexdigest()[:32]


def _own_id(session: Session, alert_id: str, form: Mapping[str, str]) -> str:
    text = "\0".join(
        [session.caller.name, alert_id, *(form.get(name, "") for name in ("what", "minutes", "action_id"))]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _said(request: Request, alert_id: str, status: int, words: str) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"said": words}, status)
    if status < 400:
        return RedirectResponse(f"/alerts/{quote(alert_id)}", 303)
    return HTMLResponse(
        render("refused.html", alert_id=alert_id, words=words, session=None, view=None, asks=False), status
    )


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'action'}: {fault['msg']}" for fault in faults)
    return "what or minutes: is none that is known"


async def _form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form; one that is too large is none."""
    text = b""
    async for chunk in request.stream():
        text += chunk
        if len(text) > MOST_FORM_BYTES:
            return {}
    return dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))


def _here(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _local(url: str) -> str:
    """The URL when it is a path of this console, else the first page: a log-in must not lead elsewhere."""
    parts = urlsplit(url)
    is_ours = url.startswith("/") and not url.startswith(("//", "/\\")) and not parts.netloc and "\\" not in url
    return url if is_ours and url.isprintable() else "/"
