"""What a worker's own routes answer, in whatever language it is written: ``docs/reference/worker-api.yaml``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

StopReason = Literal["MAX_TOKENS", "EOS", "STOP_SEQUENCE", "CANCELLED", "ERROR"]


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /health``.

    Attributes:
        status: ``ok``.
        worker_id: identity.
        state: a `WorkerState`.
    """

    status: str
    worker_id: str
    state: str


class WorkerReady(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /ready`` once requests are taken.

    Attributes:
        status: ``ready``.
        worker_id: identity.
    """

    status: str
    worker_id: str


class WorkerCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /capabilities``.

    Attributes:
        contract_version: version of the contract that the worker keeps.
        implementation: name of the engine.
        version: of the engine.
        model_id: canonical name of the model.
        capabilities: what it offers; well-known words are those of `Capability`.
        context_length: tokens a slot.
        slots_total: requests it serves at the same time.
    """

    contract_version: str
    implementation: str
    version: str | None
    model_id: str
    capabilities: tuple[str, ...]
    context_length: int | None
    slots_total: int | None


class WorkerAcknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/colony`` (``ok``) and ``POST /v1/shutdown`` (``stopping``)."""

    status: str


class InferStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="started"):
    """First event of a streamed ``POST /v1/infer``.

    Attributes:
        job_id: id of the request.
        model: canonical name of the model.
        started_at: when the answer began.
    """

    job_id: str
    model: str
    started_at: datetime


class InferToken(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="token"):
    """New text.

    Attributes:
        t: whole characters, at least one; of one token or of several.
        i: counts these events from 0.
    """

    t: str
    i: int


class InferMetrics(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="metrics"):
    """Figures, at any time between the first event and the last.

    Attributes:
        tokens_per_sec: rate of decoding.
        vram_bytes: memory of the device in use.
    """

    tokens_per_sec: float | None
    vram_bytes: int | None


class InferEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """Last event of an answer that ended as it should, or was ended.

    Attributes:
        tokens_out: tokens generated in all.
        decode_time_ms: from the first token to the last.
        stop_reason: why it ended.
    """

    tokens_out: int
    decode_time_ms: int | None
    stop_reason: StopReason


class InferError(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """Last event of an answer that broke off.

    Attributes:
        code: one of the error codes.
        message: for a person.
    """

    code: str
    message: str


InferEvent = InferStarted | InferToken | InferMetrics | InferEnd | InferError


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An error of one of rbee's own routes.

    Attributes:
        code: one of the error codes.
        message: what, which thing, what to do next.
        details: further facts for a program.
        correlation_id: id of the request.
    """

    code: str
    message: str
    details: dict[str, Any]
    correlation_id: str | None


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every refusal and failure on rbee's own routes."""

    error: ErrorFacts
