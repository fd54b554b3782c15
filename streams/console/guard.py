"""What every response carries and every request must fulfil: headers, the host on loopback, the origin of forms."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types spendstream"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a form's Origin would be null, and it is what we check
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOREIGN = "this form was not sent from a page of this console"


class Guard:
    """Around the whole application. `loopback_only`: answer to names of this machine alone, lest a page elsewhere whose
    name is pointed at it (DNS rebinding) may use a console that asks for no token."""

    def __init__(self, app: ASGIApp, *, loopback_only: bool, is_https: bool) -> None:
        self._app = app
        self._loopback_only = loopback_only
        self._extra = {"Strict-Transport-Security": "max-age=31536000"} if is_https else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, **self._extra}.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        if why := self._refusal(scope["method"], headers):
            await PlainTextResponse(why, 403)(scope, receive, answer)
            return
        await self._app(scope, receive, answer)

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if self._loopback_only and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return "without api.tokens the console answers on this machine alone: http://127.0.0.1"
        if method in {"GET", "HEAD"}:
            return ""
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return FOREIGN
        origin = headers.get("origin")
        return FOREIGN if origin is not None and urlsplit(origin).netloc != host else ""
