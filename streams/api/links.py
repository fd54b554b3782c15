"""One-click links: a GET shows what will be done and a button, the POST of the button does it.

Mail scanners and chat previews fetch every link that they see, so a GET changes nothing. The link is its own authority:
signed, for one action on one alert, and over after a while; used twice it is the same action.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from schemas.oncall import ActionKind
from streams.api.actions import make_action
from streams.api.app import Api, stored
from streams.api.errors import ApiError
from streams.core.alert.links import Link, LinkError, action_id, read

STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}"
    "button{font:inherit;font-weight:600;width:100%;padding:1rem;border-radius:.5rem;cursor:pointer}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
WORDS = {
    ActionKind.ACK: "Acknowledge",
    ActionKind.SNOOZE: "Snooze",
    ActionKind.RESOLVE: "Resolve",
    ActionKind.FALSE_POSITIVE: "Mark as a false alarm",
    ActionKind.EXPECTED: "Mark as expected",
    ActionKind.APPROVE_REMEDY: "Run the remedy",
    ActionKind.UNDO_REMEDY: "Undo the remedy",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LinkPages:
    """`/links/{token}`. `clock` gives aware UTC."""

    api: Api
    secret: str
    clock: Callable[[], datetime]

    async def show(self, request: Request) -> Response:
        """What the link does, and the button."""
        try:
            link = self._link(request)
            alert = await stored(self.api.reader.alert, link.alert_id)
        except LinkError as error:
            return page("This link does nothing", f"<p>{escape(str(error).capitalize())}.</p>", 410)
        except ApiError as error:
            return page("Not now", f"<p>{escape(error.message.capitalize())}.</p>", error.status)
        told = (
            f"<p>{escape(alert['explanation'])}</p><p>It is {escape(alert['state'].replace('_', ' '))} now.</p>"
            if alert
            else f"<p>Alert {escape(link.alert_id)}</p>"
        )
        button = f'<form method="post"><button type="submit" autofocus>{escape(_verb(link))}</button></form>'
        return page(_verb(link) + "?", told + button)

    async def use(self, request: Request) -> Response:
        """Do it."""
        try:
            link = self._link(request)
            action = make_action(
                link.alert_id,
                link.what,
                who=link.to,
                via="link",
                at=self.clock(),
                snooze=link.snooze,
                remedy_id=link.remedy_id,
                action_id=action_id(request.path_params["token"]),
            )
            answer = await self.api.perform(action)
        except LinkError as error:
            return page("This link does nothing", f"<p>{escape(str(error).capitalize())}.</p>", 410)
        except ApiError as error:
            return page("It was not done", f"<p>{escape(error.message.capitalize())}.</p>", error.status)
        if answer.status_code == 202:
            return page("Taken", "<p>It is on its way, and may take a moment to show.</p>", 202)
        change = orjson.loads(bytes(answer.body))["change"]
        state = escape(change["state"].replace("_", " "))
        return page("Done", f"<p>The alert is {state}.</p>" if not link.remedy_id else f"<p>The remedy is {state}.</p>")

    def _link(self, request: Request) -> Link:
        return read(self.secret, request.path_params["token"], self.clock())


def link_routes(pages: LinkPages) -> Sequence[BaseRoute]:
    """To be served beside the API."""
    return [
        Route("/links/{token}", pages.show, methods=["GET"]),
        Route("/links/{token}", pages.use, methods=["POST"]),
    ]


def page(title: str, body: str, status: int = 200) -> Response:
    """A page of our own: no script, nothing fetched. `body` is HTML; `title` is text."""
    return HTMLResponse(PAGE.format(title=escape(title), body=body, style=STYLE), status, HEADERS)


def _verb(link: Link) -> str:
    words = WORDS[link.what]
    if link.what is not ActionKind.SNOOZE:
        return words
    hours, minutes = divmod(link.snooze_minutes, 60)
    return f"{words} for {f'{hours} h' if hours and not minutes else f'{link.snooze_minutes} min'}"
