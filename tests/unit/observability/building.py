"""Records and colonies for the tests of what is told of them."""

from __future__ import annotations

from typing import Any

from rbee.contract.wire import RequestRecord
from rbee.observability import ColonyGauges, MemoryGauge, WorkerGauge


def record(**changes: Any) -> RequestRecord:
    """A streamed request that went well, unless changed."""
    facts: dict[str, Any] = {
        "request_id": "req-1",
        "path": "/v1/chat/completions",
        "model": "fast",
        "worker_id": "w1",
        "status": 200,
        "error_code": None,
        "first_byte_s": 0.4,
        "duration_s": 2.5,
        "bytes_out": 900,
        "model_id": "demo/m",
        "hive_id": "h1",
        "stream": True,
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "queue_s": 0.1,
        "first_token_s": 0.5,
    }
    return RequestRecord(**{**facts, **changes})


def refused(code: str = "MODEL_NOT_FOUND", status: int = 404, **changes: Any) -> RequestRecord:
    """A request that reached no worker."""
    nothing = dict.fromkeys(
        ("worker_id", "model_id", "hive_id", "first_byte_s", "first_token_s", "queue_s", "prompt_tokens",
         "completion_tokens")
    )  # fmt: skip
    return record(error_code=code, status=status, stream=False, **{**nothing, **changes})


def colony(**changes: Any) -> ColonyGauges:
    """One hive with one worker, unless changed."""
    facts: dict[str, Any] = {
        "running": {"demo/m": 2},
        "waiting": {"demo/n": 1},
        "hives": {"h1": True, "h2": False},
        "workers": [
            WorkerGauge(
                worker_id="w1",
                hive_id="h1",
                model_id="demo/m",
                state="ready",
                slots_total=4,
                slots_free=3,
                memory_peak_bytes=300,
                memory_estimate_bytes=400,
            ),
            WorkerGauge(worker_id="w2", hive_id=None, model_id=None, state="silent", slots_total=None, slots_free=None),
        ],
        "tunnels": {"attic": True, "cellar": False},
        "memory": [
            MemoryGauge(hive_id="h1", device="ram", used_bytes=1024, total_bytes=4096),
            MemoryGauge(hive_id="h1", device="GPU-0", used_bytes=None, total_bytes=8192),
        ],
    }
    return ColonyGauges(**{**facts, **changes})
