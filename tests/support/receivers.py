"""Receivers of alerts on loopback: what a chat channel or an Alertmanager would have got."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

SILENT_SECONDS = 20.0


@dataclass(slots=True)
class FakeReceiver:
    """Keeps each JSON body that it answered with 200. With `down` it answers 503, with `refuses` where that matches.

    While `prompt` is cleared it takes what comes and says nothing.
    """

    address: str = ""
    taken: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    raw: list[tuple[dict[str, str], bytes]] = field(default_factory=list)  # headers in small letters, and body
    times: list[float] = field(default_factory=list)  # time.time
    turned_away: int = 0
    down: bool = False
    refuses: str = "\0"
    prompt: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.prompt.set()

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        if self.down or self.refuses in body.decode():
            self.turned_away += 1
            return 503
        self.times.append(time.time())
        self.raw.append((headers, body))
        self.taken.append(json.loads(body))
        self.paths.append(path)
        self.prompt.wait(SILENT_SECONDS)
        return 200

    def titles(self) -> list[str]:
        """What an apprise `json://` target got, title by title."""
        return [message["title"] for message in self.taken]


@contextmanager
def fake_receiver() -> Iterator[FakeReceiver]:
    """A receiver on a free port of loopback."""
    receiver = FakeReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(receiver.answer(self.path, body, {k.lower(): v for k, v in self.headers.items()}))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            """An Alertmanager is asked for its silences: there are none."""
            body = b"[]"
            self.send_response(503 if receiver.down else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.address = f"127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
