"""The routes of inference as OpenAPI describes them, written by hand: no handler of Litestar stands behind them.

Only what the queen herself asks of a body is told.  All else is the worker's engine's, which takes it as it is, or the
translated API's, whose own description holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rbee.doors import DOOR_ROUTES
from rbee.http.front import OPENAI_POSTS

_STREAMED = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"})
_LINES = frozenset({"/api/chat", "/api/generate"})
_MEANING: Mapping[str, str] = MappingProxyType(
    {
        "/v1/chat/completions": "Chat, whole or streamed, as OpenAI's API; passed to a worker as it is.",
        "/v1/completions": "Text completion, likewise.",
        "/v1/embeddings": "Embeddings, likewise.",
        "/v1/rerank": "Reranking, likewise.",
        "/v1/responses": "OpenAI's Responses API, without anything kept.",
        "/v1/messages": "Anthropic's Messages API.",
    }
)
_ANY: Mapping[str, Any] = MappingProxyType({"type": "object"})
_NAMED: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "required": ["model"],
        "properties": {"model": {"type": "string", "minLength": 1}, "stream": {"type": ["boolean", "null"]}},
    }
)


def inference_paths() -> dict[str, Any]:
    """Paths that are served beside the queen's control routes."""
    routes = sorted({("POST", path) for path in OPENAI_POSTS} | DOOR_ROUTES)
    paths: dict[str, Any] = {}
    for method, path in routes:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path)
    return paths


def _operation(method: str, path: str) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": dict(_ANY)}}
    if path in _STREAMED:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    elif path in _LINES:
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    operation: dict[str, Any] = {
        "operationId": method.lower() + path.replace("/", "_"),
        "summary": _MEANING.get(path, "Ollama's API." if path.startswith("/api/") else "Anthropic's API."),
        "security": [{}, {"bearer": []}, {"apiKey": []}],
        "responses": {"200": {"description": "The answer.", "content": content}},
    }
    if method == "POST":
        body = _NAMED if path in OPENAI_POSTS else _ANY
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(body)}}}
    # The other APIs have each their own form of an error.
    openai = path in OPENAI_POSTS or path == "/v1/responses"
    shape = {"$ref": "#/components/schemas/OpenAiError"} if openai else dict(_ANY)
    for status in ("4XX", "5XX"):
        operation["responses"][status] = {
            "description": "An error as that API tells it.",
            "content": {"application/json": {"schema": shape}},
        }
    return operation
