"""Systems that remedies act on, faked over real HTTP: they keep state, count calls, and fail when told to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(slots=True)
class Outside:
    """`fails`: statuses of the next answers. With `acts_first` a call that is answered so has taken effect before.

    `slow` seconds are waited before an answer.
    """

    token: str = "token-of-the-tests"  # noqa: S105
    url: str = ""
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    scales: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)
    acts_first: bool = False
    slow: float = 0.0

    def answer(self, method: str, target: str, body: Any, headers: Any) -> tuple[int, Any]:
        split = urlsplit(target)
        self.calls.append(f"{method} {split.path}")
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}
        time.sleep(self.slow)
        status = self.fails.pop(0) if self.fails else 0
        if status and not self.acts_first:
            return status, {"detail": "SECRET"}
        done = self._scale(method, split.path, body) if split.path.startswith("/apis/") else self._key(split, body)
        return (status, {"detail": "SECRET"}) if status else done

    def _key(self, split: Any, body: Any) -> tuple[int, Any]:
        name = (body or {}).get("key") or parse_qs(split.query).get("key", [""])[0]
        key = self.keys.get(name)
        if key is None:
            return 404, {"error": {"message": "SECRET"}}
        if split.path == "/key/block":
            key["blocked"] = True
        elif split.path == "/key/unblock":
            key["blocked"] = False
        elif split.path == "/key/update":
            key["max_budget"] = body["max_budget"]
        return 200, {"key": name, "info": dict(key)}

    def _scale(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path not in self.scales:
            return 404, {}
        if method == "PATCH":
            self.scales[path] = body["spec"]["replicas"]
        return 200, {"kind": "Scale", "spec": {"replicas": self.scales[path]}}


@contextmanager
def outside() -> Iterator[Outside]:
    """On a free port of loopback."""
    made = Outside()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = made.answer(self.command, self.path, json.loads(text) if text else None, self.headers)
            answer = json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                return  # who asked has given up

        do_GET = do_POST = do_PATCH = _take  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
