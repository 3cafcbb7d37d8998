"""A small server that speaks as much of OpenAI's API as these tests ask for, and notes what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        upstream = self.server.upstream
        upstream.seen.append((self.path, dict(self.headers)))
        if upstream.failures > 0:
            upstream.failures -= 1
            self._answer(upstream.failing, b"{}")
        elif upstream.redirect:
            self._answer(302, b"", {"Location": upstream.redirect})
        elif upstream.key and self.headers.get("Authorization") != f"Bearer {upstream.key}":
            self._answer(401, b'{"error": {"message": "no"}}')
        elif self.path == f"{upstream.base}/models":
            self._answer(200, upstream.listing)
        else:
            self._answer(404, b"not here")

    def do_POST(self) -> None:
        upstream = self.server.upstream
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        upstream.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        upstream.asked.append(body)
        answer = {"id": "x", "object": "chat.completion", "model": body["model"], "choices": []}
        self._answer(upstream.status, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    upstream: Upstream


class Upstream:
    """Listens on a port of its own.

    Args:
        models: cards that it lists.
        key: that it wants.
        base: path of its API.
        certificate: with it, connections are encrypted.
    """

    def __init__(
        self, *models: dict[str, Any], key: str | None = None, base: str = "/v1", certificate: Path | None = None
    ) -> None:
        self.key = key
        self.base = base
        self.listing = json.dumps({"object": "list", "data": list(models)}).encode()
        self.redirect = ""
        self.failures, self.failing = 0, 503
        self.status = 200
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.asked: list[dict[str, Any]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}{base}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
