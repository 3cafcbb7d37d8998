"""Every message as its senders have always written it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rbee.contract.types import DeviceType, WorkerState
from rbee.contract.wire import (
    Component,
    GpuStats,
    HealthStatus,
    HiveHeartbeat,
    InferAnswer,
    InferRequest,
    JobAccepted,
    JobEvent,
    LeaseRenewal,
    NodeStats,
    ProcessStats,
    Registration,
    WorkerHeartbeat,
    utc_now,
)

NOON = "2026-03-01T12:00:00Z"
STATS = {
    "pid": 7,
    "group": "llm",
    "instance": "8080",
    "cpu_pct": 12.5,
    "rss_mb": 300,
    "io_r_mb_s": 0.0,
    "io_w_mb_s": 0.0,
    "uptime_s": 9,
    "gpu_util_pct": 0.0,
    "vram_mb": 0,
    "total_vram_mb": 0,
    "model": None,
}
BEAT = {
    "worker": {
        "id": "w1",
        "model_id": "m1",
        "device": "GPU-0",
        "port": 9301,
        "status": "ready",
        "implementation": "some-engine",
        "version": "0.1.0",
    },
    "timestamp": NOON,
}
HIVE_BEAT = {
    "hive": {
        "id": "h1",
        "hostname": "box",
        "port": 7835,
        "operational_status": "ready",
        "health_status": {"status": "healthy"},
        "version": "0.1.0",
    },
    "timestamp": NOON,
    "workers": [],
    "capabilities": [
        {"id": "CPU-0", "name": "a processor", "device_type": "cpu"},
        {"id": "GPU-0", "name": "a card", "device_type": "gpu", "vram_gb": 24, "compute_capability": "8.9"},
    ],
}


def decode(body: object, kind: type[Any]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body), type=kind)


def test_a_component_registers_in_the_long_form() -> None:
    found = decode(
        {
            "component_type": "hive",
            "component_id": "box",
            "hostname": "localhost",
            "port": 7835,
            "metadata": {"rack": "left"},
        },
        Registration,
    )
    assert (found.kind, found.identity, found.address) == ("hive", "box", "http://localhost:7835")
    assert found.metadata == {"rack": "left"}


def test_a_worker_registers_in_the_short_form() -> None:
    found = decode(
        {
            "worker_id": "worker-llm-8080",
            "hostname": "localhost",
            "port": 8080,
            "worker_type": "llm",
            "model": "small",
            "spawned_by": "gui",
        },
        Registration,
    )
    assert (found.kind, found.identity, found.address) == ("worker", "worker-llm-8080", "http://localhost:8080")
    assert (found.model, found.spawned_by, found.worker_type) == ("small", "gui", "llm")


def test_both_forms_name_the_same_worker() -> None:
    address = {"hostname": "a", "port": 1}
    long = decode({"component_type": "worker", "component_id": "w", **address}, Registration)
    short = decode({"worker_id": "w", **address}, Registration)
    assert (long.kind, long.identity, long.address) == (short.kind, short.identity, short.address)


def test_the_ready_callback_is_a_registration() -> None:
    found = decode(
        {
            "worker_id": "worker-123",
            "url": "http://localhost:8081/",
            "model_ref": "tiny",
            "backend": "cuda",
            "device": 1,
            "vram_bytes": 8_000_000_000,
        },
        Registration,
    )
    assert (found.kind, found.address, found.model_ref, found.device) == ("worker", "http://localhost:8081", "tiny", 1)


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ({"url": "http://a:1/", "hostname": "b", "port": 2}, "http://a:1"),
        ({"hostname": "::1", "port": 2}, "http://[::1]:2"),
        ({"hostname": "b"}, None),
        ({"port": 2}, None),
        ({}, None),
    ],
)
def test_the_url_wins_and_half_an_address_is_none(body: dict[str, Any], address: str | None) -> None:
    assert decode(body, Registration).address == address


def test_a_lease_is_renewed_under_either_name() -> None:
    assert decode({"component_type": "queen", "component_id": "queen"}, LeaseRenewal).component_id == "queen"
    assert decode({"worker_id": "w"}, LeaseRenewal).worker_id == "w"


def test_a_worker_beats_with_the_old_fields_alone() -> None:
    found = decode(BEAT, WorkerHeartbeat)
    assert found.worker.id == "w1"
    assert WorkerState.parse(found.worker.status) is WorkerState.READY
    assert found.timestamp == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.worker.slots_total is None


def test_a_worker_beats_with_the_new_fields() -> None:
    worker = BEAT["worker"] | {
        "url": "http://a:1",
        "hive_id": "h1",
        "instance_id": "i",
        "seq": 4,
        "slots_total": 4,
        "slots_available": 3,
        "queue_depth": 0,
        "tokens_per_second": 17.5,
        "context_length": 4096,
        "capabilities": ["chat", "embeddings"],
    }
    found = decode(BEAT | {"worker": worker}, WorkerHeartbeat)
    assert (found.worker.seq, found.worker.slots_available, found.worker.capabilities) == (4, 3, ("chat", "embeddings"))


def test_a_beat_without_its_fields_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="status"):
        decode({"worker": {"id": "w", "model_id": None, "device": None, "port": 1}, "timestamp": NOON}, WorkerHeartbeat)


def test_a_hive_beats_in_the_contract_form() -> None:
    found = decode(HIVE_BEAT, HiveHeartbeat)
    assert found.hive.health_status == HealthStatus()
    assert [device.device_type for device in found.capabilities] == [DeviceType.CPU, DeviceType.GPU]
    assert found.capabilities[1].vram_gb == 24


def test_a_degraded_hive_says_why() -> None:
    hive = HIVE_BEAT["hive"] | {"health_status": {"status": "degraded", "reason": "hot"}}
    assert decode(HIVE_BEAT | {"hive": hive}, HiveHeartbeat).hive.health_status.reason == "hot"
    assert msgspec.to_builtins(HealthStatus())["status"] == "healthy"


def test_a_hive_may_leave_its_capabilities_out() -> None:
    body = {key: value for key, value in HIVE_BEAT.items() if key != "capabilities"}
    assert decode(body, HiveHeartbeat).capabilities is None


def test_process_figures_come_with_old_and_new_fields() -> None:
    more = {
        "worker_id": "w",
        "cgroup": "/rbee.slice/llm/8080",
        "pids": [7, 8],
        "port": 8080,
        "gpu": "GPU-0",
        "state": "x",
    }
    old, new = decode(STATS, ProcessStats), decode(STATS | more, ProcessStats)
    assert (old.rss_mb, old.worker_id, old.model) == (300, None, None)
    assert (new.pids, new.cgroup) == ((7, 8), "/rbee.slice/llm/8080")


def test_the_machine_comes_with_its_cards() -> None:
    card = {"id": "GPU-0", "util_pct": 3.0, "vram_used_mb": 1, "vram_total_mb": 2, "temp_c": 40.0, "power_w": 9.5}
    found = decode({"cpu_pct": 1.0, "ram_used_mb": 1, "ram_total_mb": 2, "gpus": [card]}, NodeStats)
    assert found.gpus == (GpuStats(**card),)


def test_a_job_is_accepted_with_the_address_of_its_stream() -> None:
    found = decode({"job_id": "job-1", "sse_url": "/v1/jobs/job-1/stream"}, JobAccepted)
    assert found.sse_url.startswith("/v1/jobs/")


@pytest.mark.parametrize(
    ("body", "terminal"),
    [
        (
            {
                "type": "narration",
                "formatted": "[hive      ] go                : it goes",
                "actor": "hive",
                "action": "go",
                "target": "m",
                "human": "it goes",
                "correlation_id": "c",
            },
            False,
        ),
        ({"type": "progress", "action": "a", "done": 1, "total": 2, "unit": "bytes", "rate": 1.0, "eta_s": 1.0}, False),
        ({"type": "data", "action": "token", "payload": {"t": "x", "i": 0}}, False),
        ({"type": "error", "code": "INTERNAL", "message": "no"}, True),
        ({"type": "cancelled"}, True),
        ({"type": "done"}, True),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_an_event_of_a_job_comes_back_as_it_was(body: dict[str, Any], terminal: bool) -> None:
    whole = {"job_id": "job-1", "emitted_at_ms": 5, **body}
    event = decode(whole, JobEvent)
    assert event.terminal is terminal
    assert msgspec.to_builtins(event) == whole


def test_an_event_of_no_known_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode({"type": "shout", "job_id": "j", "emitted_at_ms": 1}, JobEvent)


def test_a_request_for_text_takes_its_named_fields() -> None:
    body = {
        "model": "m",
        "prompt": "hi",
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "device": 1,
        "worker_id": "w",
        "hive_id": "localhost",
        "stream": False,
    }
    assert msgspec.to_builtins(decode(body, InferRequest)) == body


def test_a_whole_answer_has_four_fields() -> None:
    body = {"text": "hi", "tokens_generated": 1, "duration_ms": 2, "stop_reason": "EOS"}
    assert msgspec.to_builtins(decode(body, InferAnswer)) == body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Registration, {"worker_id": "w", "url": "http://a:1"}),
        (WorkerHeartbeat, BEAT),
        (HiveHeartbeat, HIVE_BEAT),
        (ProcessStats, STATS),
        (Component, {"component_type": "gui", "component_id": "g", "url": "http://a:1"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_fields_of_tomorrow_are_ignored(kind: type[Any], body: dict[str, Any]) -> None:
    assert decode(body | {"of_tomorrow": {"deep": 1}}, kind) == decode(body, kind)


def test_times_are_told_in_utc() -> None:
    told = msgspec.json.encode(utc_now()).decode().strip('"')
    assert told.endswith("Z")
