"""The contract of workers as an OpenAPI document, for those that are written in another language.

Made from the types and the routes; ``docs/reference/worker-api.yaml`` is what it makes::

    uv run --group test python -m rbee.worker.describe > docs/reference/worker-api.yaml

Format: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.types import Capability
from rbee.contract.version import CONTRACT_VERSION
from rbee.contract.wire import Registration, WorkerHeartbeat
from rbee.contract.wire.openai_api import (
    ChatAnswer,
    ChatAsk,
    ChatChunk,
    CompletionAnswer,
    CompletionAsk,
    EmbeddingAnswer,
    EmbeddingAsk,
    OpenAiErrorEnvelope,
    RerankAnswer,
    RerankAsk,
)
from rbee.contract.wire.worker_api import InferEnd, InferError, InferMetrics, InferStarted, InferToken
from rbee.http.openapi import Description
from rbee.worker.app import HANDLERS

_REF = "#/components/schemas/{name}"
_ABOUT = (
    "What a worker is to the rest of rbee: a process that serves one model over HTTP. This is version "
    f"{CONTRACT_VERSION} of the contract; `GET /info` says which version a worker speaks, and "
    "`rbee conformance worker URL` asks a running worker whether it keeps this.\n\n"
    "A worker is started with the flags `--worker-id --model --device --port --queen-url --registry-url`. It registers "
    "with the registry, where there is one, and beats the queen every 5 seconds (see `webhooks`); it works when "
    "neither is there.\n\n"
    "Control routes need the colony's token always; inference needs it off loopback. Every answer has `X-Request-Id`, "
    "the caller's where one was sent. `X-Request-Deadline` (seconds, or a time as RFC 3339 writes it) ends an answer "
    "that takes longer with 408. A client that closes its connection ends its request: the slot must be free within "
    "seconds. A worker offers what it declares in `capabilities`, and refuses the rest with 400 and the parameter's "
    "name; nothing is dropped silently."
)
_STREAMED = "A stream of server-sent events: data lines with a JSON document each, the last one `data: [DONE]`."


class _OpenAi(msgspec.Struct, frozen=True):
    """One of OpenAI's routes: body, answer, chunk of a stream, capability."""

    ask: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    chunk: type[msgspec.Struct] | None
    needs: Capability


_OPENAI: Mapping[str, _OpenAi] = MappingProxyType(
    {
        "/v1/chat/completions": _OpenAi(ChatAsk, ChatAnswer, ChatChunk, Capability.CHAT),
        "/v1/completions": _OpenAi(CompletionAsk, CompletionAnswer, CompletionAnswer, Capability.COMPLETIONS),
        "/v1/embeddings": _OpenAi(EmbeddingAsk, EmbeddingAnswer, None, Capability.EMBEDDINGS),
        "/v1/rerank": _OpenAi(RerankAsk, RerankAnswer, None, Capability.RERANK),
    }
)
_EVENTS = (InferStarted, InferToken, InferMetrics, InferEnd, InferError)
_CALLS: Mapping[str, tuple[str, type[msgspec.Struct]]] = MappingProxyType(
    {
        "register": ("POST /v1/registry/register at the registry, once, and when it has forgotten.", Registration),
        "beat": ("POST /v1/worker-heartbeat at the queen, every 5 seconds and at changes.", WorkerHeartbeat),
    }
)


def document() -> dict[str, Any]:
    """The whole document."""
    made = msgspec.json.decode(asyncio.run(Description("rbee worker", HANDLERS, _openai_paths()).document()))
    made["info"] = {"title": "rbee worker", "version": CONTRACT_VERSION, "description": _ABOUT}
    made.pop("servers", None)
    types = [*_EVENTS, OpenAiErrorEnvelope, *(kind for _, kind in _CALLS.values())]
    for one in _OPENAI.values():
        types += [one.ask, one.answer, *([one.chunk] if one.chunk else [])]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = made["components"]["schemas"]
    for name, schema in components.items():
        schemas.setdefault(name, schema)
    schemas["OpenAiError"] = {"$ref": _REF.format(name=OpenAiErrorEnvelope.__name__)}
    schemas["InferEvent"] = {
        "description": "Exactly one `started` first, exactly one `end` or `error` last; tokens are numbered from 0.",
        "oneOf": [{"$ref": _REF.format(name=kind.__name__)} for kind in _EVENTS],
    }
    _streamed(made["paths"]["/v1/infer"]["post"], "InferEvent")
    made["webhooks"] = {name: _call(*one) for name, one in _CALLS.items()}
    return _sorted(made)


def _openai_paths() -> dict[str, Any]:
    return {path: {"post": _operation(path, one)} for path, one in _OPENAI.items()}


def _operation(path: str, one: _OpenAi) -> dict[str, Any]:
    name = path.removeprefix("/v1/").replace("/", "_")
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": f"OpenAI's {path}.",
        "description": f"Only with the capability `{one.needs.value}`; else 400. Also under `/openai`.",
        "requestBody": {"required": True, "content": _json(one.ask)},
        "responses": {"200": {"description": "The answer.", "content": _json(one.answer)}},
    }
    if one.chunk is not None:
        _streamed(operation, one.chunk.__name__)
    return operation


def _streamed(operation: dict[str, Any], event: str) -> None:
    content = operation["responses"]["200"].setdefault("content", {})
    content["text/event-stream"] = {"schema": {"description": _STREAMED, "$ref": _REF.format(name=event)}}


def _call(what: str, body: type[msgspec.Struct]) -> dict[str, Any]:
    responses = {"200": {"description": "It was taken."}}
    return {"post": {"summary": what, "requestBody": {"content": _json(body)}, "responses": responses}}


def _json(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _sorted(made: dict[str, Any]) -> dict[str, Any]:
    """Schemas by name: types are collected in an order that is nobody's business."""
    found = copy.deepcopy(made)
    found["components"]["schemas"] = dict(sorted(found["components"]["schemas"].items()))
    return found


def main() -> None:
    """Print the document as YAML."""
    sys.stdout.write(msgspec.yaml.encode(document()).decode())


if __name__ == "__main__":
    main()
