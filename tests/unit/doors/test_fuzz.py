"""Whatever a client sends, the answer is the API's own, and never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rbee.doors.anthropic.requests import MessagesRequest
from rbee.doors.ollama.requests import ChatRequest, EmbedRequest, GenerateRequest, ShowRequest
from rbee.doors.responses.requests import ResponsesRequest
from unit.doors.scripted import Scripted, Visit, visit, whole

REQUESTS = {
    "/v1/messages": MessagesRequest,
    "/v1/responses": ResponsesRequest,
    "/api/chat": ChatRequest,
    "/api/generate": GenerateRequest,
    "/api/embed": EmbedRequest,
    "/api/show": ShowRequest,
}
WORDS = [
    "user",
    "assistant",
    "tool",
    "text",
    "tool_use",
    "tool_result",
    "function_call",
    "message",
    "auto",
    "json",
    "x",
]
KEYS = ["role", "content", "type", "text", "name", "input", "id", "tool_use_id", "function", "call_id", "arguments"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
NEEDED = {
    "model": "demo",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "hi"}],
    "input": "hi",
    "prompt": "hi",
}


def said(answer: Visit) -> str:
    error = answer.json["error"]
    return error if isinstance(error, str) else error["message"]


@pytest.mark.parametrize("path", REQUESTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_any_values_of_known_parameters_are_taken_or_refused(path: str, data: st.DataObject) -> None:
    fields = list(REQUESTS[path].__struct_fields__)
    body: dict[str, Any] = {name: value for name, value in NEEDED.items() if name in fields}
    body |= data.draw(st.dictionaries(st.sampled_from(fields), VALUES, max_size=4)) | {"stream": False}
    body = {name: value for name, value in body.items() if name in fields}
    embedded = json.dumps({"data": [{"embedding": [1.5], "index": 0}]}).encode()
    answer = await visit(Scripted(embedded if path == "/api/embed" else whole({"content": "x"})), path, body)
    assert answer.status in {200, 400, 404}, answer.body
    if answer.status != 200:
        assert said(answer)


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("depth", [100, 900, 980, 990, 995, 1000, 50_000])
async def test_a_body_that_is_nested_deeply_is_taken_or_refused(path: str, depth: int) -> None:
    deep = b'{"model": "demo", "max_tokens": 5, "messages": [], "tools": [], "format": %s}'
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    answer = await visit(Scripted(whole({"content": "x"})), path, deep % nested, max_body=1_000_000)
    assert answer.status in {200, 400, 413}, answer.body
