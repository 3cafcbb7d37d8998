"""A queen that says what a test has written down, over real HTTP on loopback, and events of jobs."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rbee.contract.wire import JobEvent


class Script:
    """What a job tells; `gate` is waited for before the events behind it."""

    def __init__(self, *first: dict[str, Any], then: tuple[dict[str, Any], ...] = ()) -> None:
        self.first, self.then = first, then
        self.gate = threading.Event()
        self.followed = threading.Event()
        if not then:
            self.gate.set()


class ScriptedQueen:
    """Hives with their presence, and a script for each hive's job.

    Attributes:
        asked: bodies of jobs, in the order in which they came.
        cancelled: hives whose jobs were cancelled.
    """

    def __init__(self) -> None:
        self.hives: dict[str, bool] = {}
        self.scripts: dict[str, Script] = {}
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.arrived = threading.Condition()
        queen = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/v1/info":
                    hives = [{"hive_id": name, "online": online} for name, online in queen.hives.items()]
                    self.answer(200, {"hives": hives})
                    return
                script = queen.scripts[self.path.split("/")[3]]
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for event in script.first:
                    self.tell(event)
                script.followed.set()
                script.gate.wait(20)
                for event in script.then:
                    self.tell(event)
                self.wfile.write(b"data: [DONE]\n\n")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with queen.arrived:
                    queen.asked.append(body)
                    queen.arrived.notify_all()
                self.answer(202, {"job_id": body["hive_id"], "sse_url": ""})

            def do_DELETE(self) -> None:
                hive_id = self.path.split("/")[3]
                queen.cancelled.append(hive_id)
                queen.scripts[hive_id].gate.set()
                self.send_response(204)
                self.end_headers()

            def answer(self, status: int, told: dict[str, Any]) -> None:
                raw = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def tell(self, event: dict[str, Any]) -> None:
                whole = {"job_id": "j", "emitted_at_ms": 0, **event}
                self.wfile.write(b"data: " + json.dumps(whole).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A reader that has left is part of the play."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def asked_hives(self) -> list[str]:
        return [body["hive_id"] for body in self.asked]

    def await_asked(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.asked) >= count, 10), self.asked

    def close(self) -> None:
        for script in self.scripts.values():
            script.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def progress(done: int | None, total: int | None, **more: Any) -> JobEvent:
    fields = {"action": "model_download", "unit": "bytes", **more}
    return JobEvent(type="progress", job_id="j", emitted_at_ms=0, done=done, total=total, **fields)


def sentence(human: str) -> JobEvent:
    return JobEvent(type="narration", job_id="j", emitted_at_ms=0, human=human)
