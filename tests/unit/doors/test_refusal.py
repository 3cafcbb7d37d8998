"""Errors in each API's envelope."""

from __future__ import annotations

import json

import pytest
from rbee.contract.errors import (
    AuthenticationError,
    InvalidRequestError,
    ModelNotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueueFullError,
    RbeeError,
)
from rbee.doors import door_error
from rbee.doors.refusal import refusal_in

ANTHROPIC = [
    (InvalidRequestError("no"), 400, "invalid_request_error"),
    (AuthenticationError("no"), 401, "authentication_error"),
    (PermissionDeniedError("no"), 403, "permission_error"),
    (ModelNotFoundError("no"), 404, "not_found_error"),
    (PayloadTooLargeError("no"), 413, "request_too_large"),
    (RbeeError("no"), 500, "api_error"),
    (QueueFullError("no", retry_after_s=7), 529, "overloaded_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), ANTHROPIC, ids=[kind for _, _, kind in ANTHROPIC])
def test_anthropic_gets_its_types_and_statuses(error: RbeeError, status: int, kind: str) -> None:
    answer = door_error("/v1/messages", error, "req-1")
    assert answer.status == status
    assert json.loads(answer.body) == {
        "type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req-1",
    }  # fmt: skip
    assert dict(answer.headers)[b"request-id"] == b"req-1"


def test_a_full_queue_says_when_to_come_again_in_every_envelope() -> None:
    for path in ("/v1/messages", "/api/chat", "/v1/responses"):
        assert dict(door_error(path, QueueFullError("no", retry_after_s=7), "r").headers)[b"retry-after"] == b"7"


def test_who_lacks_a_token_hears_how_to_send_one() -> None:
    assert b"www-authenticate" in dict(door_error("/api/tags", AuthenticationError("no"), "r").headers)


def test_ollama_gets_a_sentence() -> None:
    answer = door_error("/api/chat", ModelNotFoundError("There is no model 'x'."), "r")
    assert (answer.status, json.loads(answer.body)) == (404, {"error": "There is no model 'x'."})


def test_the_responses_door_tells_errors_as_openai_does() -> None:
    answer = door_error("/v1/responses", InvalidRequestError("no", param="store"), "r")
    assert json.loads(answer.body)["error"] == {
        "message": "no", "type": "invalid_request_error", "param": "store", "code": "invalid_request",
    }  # fmt: skip


def test_a_workers_error_keeps_its_code_and_parameter() -> None:
    body = b'{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded","param":"messages"}}'
    told = refusal_in(400, [(b"retry-after", b"3")], body)
    assert (told.message, told.code, told.param, told.retry_after) == (
        "too long", "context_length_exceeded", "messages", "3",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [(b'{"error":"short"}', "short"), (b"<html>", "<html>"), (b"", "The worker answered 502."), (b"\xff", "�")],
)
def test_an_error_in_no_envelope_is_told_all_the_same(body: bytes, message: str) -> None:
    assert refusal_in(502, (), body).message == message
