"""Rbee as `gateway.py` measures it: a queen as her users start her, and a worker that she knows."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway_systems import System, ask, await_answers, launched, telling
from gateway_tools import LOOPBACK, MODEL, Cores, NoStartError, Target, free_port, last_line
from rbee.contract.version import __version__
from rbee.contract.wire import utc_now
from rbee.testing.colony import Home

_START_S = 60.0
_BEAT_S = 2.0
_SLOTS = 1024


class Rbee(System):
    """A queen with a home of her own, with authentication, slots, accounting and metrics on.

    Args:
        processes: what `--processes` is given; None for no such option.
        profile: where a profile of each of her runs goes; None for none.
    """

    def __init__(self, processes: int | None = None, profile: Path | None = None) -> None:
        super().__init__("rbee" if processes is None else f"rbee --processes {processes}")
        self.version = __version__
        self._options = () if processes is None else ("--processes", str(processes))
        self._profile = profile

    @staticmethod
    def offers_processes() -> bool:
        """Whether this rbee knows the option."""
        asked = [sys.executable, "-m", "rbee", "queen", "start", "--help"]
        return "--processes" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout

    @contextlib.contextmanager
    def running(self, worker: int, cores: Cores) -> Iterator[Target]:
        """Start her, and be the worker's voice."""
        port = free_port()
        settings = {"queen.port": str(port), "server.require_token": "true", "server.log_level": "warning"}
        with tempfile.TemporaryDirectory(prefix="rbee-bench-") as name:
            home = Home(Path(name), settings)
            argv = home.argv("queen", "start", "--json", *self._options)
            if self._profile is not None:
                argv[1:1] = ["-m", "cProfile", "-o", str(self._profile)]
            with launched(argv, home.environment, cores, home.folder) as process, telling(home.folder, process):
                _await_line(home.folder / "out", process)
                target = Target(port=port, pid=process.pid, header=f"Authorization: Bearer {home.token}")
                with Voice(target, worker):
                    await_answers(target, process.poll)
                    yield target


class Voice:
    """Tells the queen of the worker, and goes on telling until the end.

    Args:
        queen: where.
        worker: its port.

    Raises:
        NoStartError: she does not want to hear it.
    """

    def __init__(self, queen: Target, worker: int) -> None:
        self._queen = queen
        self._worker = worker
        self._seq = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)

    def __enter__(self) -> None:
        url = f"http://{LOOPBACK}:{self._worker}"
        told = {"worker_id": MODEL, "url": url, "model_ref": MODEL, "backend": "cpu", "device": 0, "vram_bytes": 0}
        self._tell("/v1/workers/register", told)
        self._beat()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beat_on(self) -> None:
        while not self._end.wait(_BEAT_S):
            # The next one is sent all the same; a queen that has forgotten the worker makes the load fail.
            with contextlib.suppress(OSError, http.client.HTTPException, NoStartError):
                self._beat()

    def _beat(self) -> None:
        self._seq += 1
        beat = {
            "id": MODEL,
            "model_id": MODEL,
            "device": "CPU-0",
            "port": self._worker,
            "status": "ready",
            "implementation": "tokenmill",
            "version": "1",
            "url": f"http://{LOOPBACK}:{self._worker}",
            "instance_id": MODEL,
            "seq": self._seq,
            "slots_total": _SLOTS,
            "slots_available": _SLOTS,
            "queue_depth": 0,
            "capabilities": ["chat", "completions"],
        }
        self._tell("/v1/worker-heartbeat", {"worker": beat, "timestamp": utc_now()})

    def _tell(self, path: str, body: Mapping[str, object]) -> None:
        status, answer = ask(self._queen, path, body)
        if status not in {200, 201}:
            raise NoStartError(f"{path} answered {status}: {last_line(answer)}")


def _await_line(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while "\n" not in path.read_text(encoding="utf-8"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoStartError("did not come up")
        time.sleep(0.02)
