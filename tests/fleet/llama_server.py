"""A real llama-server that somebody runs already, in a process of its own, for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx2

MODEL = Path(__file__).parents[2] / "plugins" / "demo" / "rbee_demo" / "data" / "rbee-tiny-q8_0.gguf"

_SCRIPT = """
import os, signal, sys
import xllamacpp
model, name, port, key, slots = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
p = xllamacpp.CommonParams()
p.model.path, p.model_alias = model, {name}
p.hostnames, p.port, p.api_keys = ["127.0.0.1"], port, [key] if key else []
p.n_parallel, p.n_ctx, p.kv_unified, p.cache_ram_mib = slots, 2048 * slots, False, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.n_gpu_layers, p.endpoint_slots, p.n_threads_http = 0, True, slots + 4
p.sse_ping_interval, p.ui, p.verbosity = 1, False, -1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
os._exit(0)
"""
_ANSWER_S = 10.0


class LlamaServer:
    """Serves rbee-tiny; started again, it listens where it did.

    Args:
        name: of its model.
        key: that it wants.
        slots: requests at the same time.
    """

    def __init__(self, name: str = "tiny", key: str = "", slots: int = 2) -> None:
        self.name, self.key, self.slots = name, key, slots
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Return once it answers."""
        port = self.url.rpartition(":")[2] or "0"
        argv = [sys.executable, "-c", _SCRIPT, str(MODEL), self.name, port, self.key, str(self.slots)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the llama-server did not come up"
        return self

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def busy(self) -> int:
        """Its slots in use."""
        headers = {"authorization": f"Bearer {self.key}"}
        told = httpx2.get(f"{self.url}/slots", headers=headers, timeout=_ANSWER_S, trust_env=False)
        return sum(one["is_processing"] for one in told.raise_for_status().json())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
