"""A small HTTP server on a loopback port that the kernel chooses."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from rbee.testing.hub.faults import OriginName

LOOPBACK: Final = "127.0.0.1"
_LEAVE_S: Final = 5.0
_POLL_S: Final = 0.02

Answer = Callable[["Exchange"], None]


class Exchange(http.server.BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        split = urlsplit(self.path)
        self.route = unquote(split.path)
        self.raw_route = split.path
        self.query = split.query
        self.asked = parse_qs(split.query)
        self.server.answer(self)

    do_HEAD = do_GET  # noqa: N815 - the library's name

    @property
    def origin(self) -> OriginName:
        """Where the request came in."""
        return self.server.origin

    @property
    def stopping(self) -> threading.Event:
        """Set once the server stops."""
        return self.server.stopping

    def named(self) -> dict[str, str]:
        """The request's headers, names in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def first(self, name: str, default: str = "") -> str:
        """The first value of a word of the query."""
        return self.asked.get(name, [default])[0]

    def true(self, name: str) -> bool:
        """Whether a word of the query is switched on."""
        return self.first(name) in {"1", "true"}

    def begin(self, status: int, headers: Mapping[str, str], length: int) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        body = json.dumps(value).encode()
        self.begin(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, len(body))
        self.body(body)

    def refuse(self, status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer with an error as a hub words it."""
        named = {"X-Error-Message": message, **(headers or {})}
        if code is not None:
            named["X-Error-Code"] = code
        self.json(status, {"error": message}, named)

    def redirect(self, status: int, location: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the client elsewhere."""
        self.begin(status, {"Location": location, **(headers or {})}, 0)

    def body(self, data: bytes | memoryview) -> None:
        """Send the body, if one was asked for."""
        if self.command != "HEAD":
            self.connection.sendall(data)

    def hang(self) -> None:
        """Answer nothing until the client goes or the server stops."""
        self.close_connection = True
        self.connection.settimeout(_POLL_S)
        while not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return
                # It has sent something more; only its going counts.
                self.stopping.wait(_POLL_S)

    def cut(self) -> None:
        """End the line although more was announced."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, origin: OriginName, answer: Answer, host: str, port: int, called: str) -> None:
        self.origin = origin
        self.answer = answer
        self.stopping = threading.Event()
        self._lines: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((host, port), Exchange)
        self.base = f"http://{called}:{self.server_address[1]}"

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service for the name of the address.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._lines.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._lines.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go; tell everything else."""
        import sys

        error = sys.exc_info()[1]
        if not isinstance(error, OSError) and not self.stopping.is_set():
            super().handle_error(request, client_address)

    def leave(self) -> None:
        """Cut all lines and wait until their threads have ended."""
        self.stopping.set()
        self.shutdown()
        with self._changed:
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._lines, _LEAVE_S)
        self.server_close()


class Origin:
    """One server in a thread of its own.

    Args:
        name: ``hub`` or ``cdn``.
        answer: called in a thread for each request.
        host: where it listens.
        port: 0 for one that the kernel chooses.
        called: the host in its address; None for the same.
    """

    def __init__(
        self, name: OriginName, answer: Answer, host: str = LOOPBACK, port: int = 0, called: str | None = None
    ) -> None:
        self._server = _Server(name, answer, host, port, called or host)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name=f"stand-in {name}", daemon=True
        )
        self.url = self._server.base

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the end."""
        self._server.leave()
        self._thread.join()
