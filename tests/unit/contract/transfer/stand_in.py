"""A server of files on loopback with the faults that real ones have, and a vendor whose files lie there."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelVariant

BLOCK = 16 * 1024
LONG_AGO = email.utils.formatdate(1_700_000_000, usegmt=True)


@dataclass
class Reply:
    """How one question is answered; the defaults are those of a server without faults."""

    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    """Besides its own, or instead of them; None leaves one out."""
    body: bytes | None = None
    cut_after: int | None = None
    hang_after: int | None = None
    """Sends so many bytes of the body and then nothing, until the server ends."""
    silent: bool = False
    """Takes the question and says nothing, until the server ends."""
    reset: bool = False
    """Closes the line without an answer."""
    ranges: bool = True
    framed: bool = True
    """Says how long the body is; else its end is that of the line."""
    chunked: bool = False
    endless: bool = False
    bytes_per_s: float | None = None
    drip_s: float | None = None
    """Sends one byte of the body after each such while."""
    slow_head: bool = False
    """Sends one header after another and never the body."""


@dataclass
class Question:
    """What the server was asked."""

    method: str
    path: str
    headers: dict[str, str]


class StandIn(ThreadingHTTPServer):
    """Serves `files` by path; `replies` are used up one a question, then it has no faults.

    Args:
        tls: with which context, for https.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"one"'
        self.last_modified: str | None = None
        self.replies: deque[Reply] = deque()
        self.always = Reply()
        self.questions: list[Question] = []
        self.sent = 0
        self.lines_taken = 0
        self.over = threading.Event()
        self.hanging = threading.Event()
        self.tls = tls
        self._counted = threading.Condition()
        self._lines: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join()

    def get_request(self) -> tuple[socket.socket, Any]:
        line, address = super().get_request()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines.add(line)
        self.lines_taken += 1
        return line, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            with contextlib.suppress(OSError), self.tls.wrap_socket(request, server_side=True) as line:
                super().finish_request(line, client_address)
            return
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._lines.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested here."""

    def count(self, sent: int) -> None:
        """So many bytes more of bodies were sent."""
        with self._counted:
            self.sent += sent
            self._counted.notify_all()

    def wait_until_sent(self, count: int) -> None:
        """Return once so many bytes of bodies were sent in all."""
        with self._counted:
            assert self._counted.wait_for(lambda: self.sent >= count, 20)

    def ranges(self) -> list[str | None]:
        """The ``Range`` of each question."""
        return [one.headers.get("range") for one in self.questions]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        stand_in = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        stand_in.questions.append(Question(self.command, self.path, headers))
        reply = stand_in.replies.popleft() if stand_in.replies else stand_in.always
        if reply.reset:
            self.close_connection = True
            return
        if reply.silent:
            stand_in.hanging.set()
            stand_in.over.wait()
            self.close_connection = True
            return
        status, told, body = self._found(reply, headers)
        self.send_response(reply.status or status)
        while reply.slow_head and not stand_in.over.wait(0.02):
            self.send_header("X-More", "to come")
            self.flush_headers()
        for name, value in {**told, **reply.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(reply, body)
        if "Content-Length" not in told and not reply.chunked:
            self.close_connection = True

    def _found(self, reply: Reply, asked: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        stand_in = self.server
        content = stand_in.files.get(self.path.partition("?")[0])
        if reply.body is not None or content is None or (reply.status is not None and reply.status >= 300):
            body = reply.body or b""
            return (200 if reply.body is not None else 404), {"Content-Length": str(len(body))}, body
        told: dict[str, str] = {"Date": email.utils.formatdate(usegmt=True)}
        if stand_in.etag:
            told["ETag"] = stand_in.etag
        if stand_in.last_modified:
            told["Last-Modified"] = stand_in.last_modified
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("range", ""))
        status, start, end = 200, 0, len(content)
        if wanted and reply.ranges and asked.get("if-range", stand_in.etag) in {stand_in.etag, stand_in.last_modified}:
            start = int(wanted[1])
            end = min(end, int(wanted[2]) + 1) if wanted[2] else end
            if start >= len(content):
                return 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b""
            status = 206
            told["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        if reply.chunked:
            told["Transfer-Encoding"] = "chunked"
        elif reply.framed:
            told["Content-Length"] = str(end - start)
        return status, told, content[start:end]

    def _send(self, reply: Reply, body: bytes) -> None:
        stand_in = self.server
        stop = min([len(body), *(one for one in (reply.cut_after, reply.hang_after) if one is not None)])
        began, sent = time.monotonic(), 0
        while sent < stop:
            block = body[sent : min(stop, sent + (1 if reply.drip_s else BLOCK))]
            self._write(reply, block)
            sent += len(block)
            stand_in.count(len(block))
            if reply.drip_s and stand_in.over.wait(reply.drip_s):
                return
            if reply.bytes_per_s and stand_in.over.wait(max(0, began + sent / reply.bytes_per_s - time.monotonic())):
                return
        while reply.endless and not stand_in.over.is_set():
            self._write(reply, bytes(BLOCK))
        if reply.hang_after is not None:
            stand_in.hanging.set()
            stand_in.over.wait()
        if reply.cut_after is not None or reply.hang_after is not None:
            self.close_connection = True
        elif reply.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, reply: Reply, block: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if reply.chunked else block)


class StandInVendor(HttpModelVendor):
    """A vendor whose files lie on a `StandIn`."""

    name = "stand-in"

    def __init__(self, base: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.base = base
        self.headers = headers
        self.asked = 0

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        return ()

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        self.asked += 1
        return FileSource(url=f"{self.base}/{file.name}", headers=self.headers)


def file_of(name: str, content: bytes) -> ModelFile:
    """A file with size and checksum."""
    return ModelFile(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def variant_of(*files: ModelFile) -> ModelVariant:
    return ModelVariant(model_id="stand-in:model", name="model", vendor="stand-in", format="gguf", files=files)
