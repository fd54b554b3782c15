"""Server-sent events: the fragments of a page that have changed, and how fresh they are.

event: part     {"id": element, "html": fragment}
event: state    {"version": ..., "at": when it was read, "problem": ..., "firing": alerts that need somebody}
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from streams.console.render import render, version
from streams.console.views import View, Views

RETRY_MS = 2_000


async def events(
    views: Views, url: str, context: Callable[[View], Mapping[str, Any]], poll_seconds: float, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    """The events of one open page, until the console stops or the page is closed. All fragments come first."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    sent: dict[str, bytes] = {}
    while not stopping.is_set():
        view = await views.at(url)
        if view is None:
            return
        if view.seen.value is not None:
            for event in parts(view, context(view), sent):
                yield event
        yield state(view)
        try:
            await asyncio.wait_for(stopping.wait(), poll_seconds)
        except TimeoutError:
            continue


def parts(view: View, context: Mapping[str, Any], sent: dict[str, bytes]) -> list[bytes]:
    """The fragments that are not as they were `sent`, which is brought up to date."""
    changed = []
    for name, template in view.parts.items():
        html = render(template, **context)
        digest = hashlib.blake2b(html.encode(), digest_size=16).digest()
        if sent.get(name) != digest:
            sent[name] = digest
            changed.append(_event("part", {"id": name, "html": html}))
    return changed


def state(view: View) -> bytes:
    """How fresh the page is."""
    inbox = view.context["inbox"]
    return _event("state", {
        "version": version(),
        "at": view.seen.at.isoformat() if view.seen.at else None,
        "problem": view.seen.problem,
        "firing": inbox.firing if inbox else 0,
    })  # fmt: skip


def _event(name: str, content: Mapping[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(content) + b"\n\n"
