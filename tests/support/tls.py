"""Certificates of an authority of the test's own, and an HTTP server that shows one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Papers:
    """What a server and its clients need, as PEM files."""

    authority: Path
    server: Path  # key and certificates together

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def papers_for(folder: Path, *names: str) -> Papers:
    """An authority, and a server certificate for `names`."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    papers = Papers(folder / "authority.pem", folder / "server.pem")
    authority.cert_pem.write_to_path(papers.authority)
    issued = authority.issue_cert(*names)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    # As PKCS#8: Java takes no other form.
    papers.server.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    return papers


@dataclass
class Heard:
    """The requests that a server got: method, path, headers, body. `answer` makes (status, headers, body)."""

    port: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Any = lambda *_: (200, {}, b"")


@contextmanager
def http_server(papers: Papers | None = None) -> Iterator[Heard]:
    """A server on a free port of loopback, with TLS where there are papers."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            heard.requests.append((self.command, self.path, dict(self.headers.items()), body))
            status, headers, answer = heard.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if papers is not None:
        server.socket = papers.server_context().wrap_socket(server.socket, server_side=True)
    heard.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
