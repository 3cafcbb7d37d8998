"""Errors as the doors tell them: one form for what rbee raises and what workers answer, and each API's envelope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.errors import RbeeError, UnavailableError
from rbee.http.errors import STATUS_BY_CODE, ErrorResponse, openai_error

ANTHROPIC = "/v1/messages"
OLLAMA = "/api/"

_TEXT_LIMIT = 2000
_OVERLOADED = 529
"""What Anthropic's API answers where HTTP says 503."""

_ANTHROPIC_TYPES: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error, before it is put into an envelope.

    Attributes:
        status: HTTP status by OpenAI's and rbee's use.
        message: for a person.
        kind: OpenAI's word for its type.
        code: OpenAI's or rbee's code, lower case; None where there is none.
        param: the field at fault, None where it is none.
        details: further facts, None without.
        retry_after: value of ``Retry-After``; None without.
    """

    status: int
    message: str
    kind: str = "server_error"
    code: str | None = None
    param: str | None = None
    details: Any = None
    retry_after: str | None = None


class _OpenAIError(msgspec.Struct, frozen=True):
    message: str
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    details: Any = None


class _Envelope(msgspec.Struct, frozen=True):
    error: _OpenAIError | str


def refusal_of(error: RbeeError) -> Refusal:
    """What rbee raised."""
    told = openai_error(error)["error"]
    return Refusal(
        status=STATUS_BY_CODE[error.code],
        message=told["message"],
        kind=told["type"],
        code=told["code"],
        param=told["param"],
        details=told.get("details"),
        retry_after=str(error.retry_after_s) if isinstance(error, UnavailableError) else None,
    )


def refusal_in(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Refusal:
    """What a worker answered.

    Args:
        status: of the answer, 400 or more.
        headers: of the answer.
        body: OpenAI's envelope; any other text is taken as the message.
    """
    retry = next((value.decode("latin-1") for name, value in headers if name == b"retry-after"), None)
    try:
        error = msgspec.json.decode(body, type=_Envelope).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = body[:_TEXT_LIMIT].decode("utf-8", "replace").strip() or f"The worker answered {status}."
    if isinstance(error, str):
        error = _OpenAIError(error)
    return Refusal(
        status=status,
        message=error.message,
        kind=error.type or ("invalid_request_error" if status < 500 else "server_error"),
        code=None if error.code is None else str(error.code),
        param=error.param,
        details=error.details,
        retry_after=retry,
    )


def openai_body(refusal: Refusal) -> dict[str, Any]:
    """OpenAI's envelope."""
    body = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    if refusal.details:
        body["details"] = refusal.details
    return {"error": body}


def anthropic_body(refusal: Refusal, request_id: str | None = None) -> dict[str, Any]:
    """Anthropic's envelope."""
    fallback = "invalid_request_error" if refusal.status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(refusal.status, fallback)
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": refusal.message}}
    return body if request_id is None else {**body, "request_id": request_id}


def ollama_body(refusal: Refusal) -> dict[str, Any]:
    """Ollama's envelope."""
    return {"error": refusal.message}


def refused(path: str, refusal: Refusal, request_id: str) -> ErrorResponse:
    """The whole answer in the envelope of the API that a path belongs to.

    Args:
        path: of the door, without prefix.
        refusal: the error.
        request_id: told in a header.
    """
    status = refusal.status
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode("latin-1", "replace"))]
    if path.startswith(ANTHROPIC):
        body = anthropic_body(refusal, request_id)
        status = _OVERLOADED if status == 503 else status
        headers.append((b"request-id", request_id.encode("latin-1", "replace")))
    else:
        body = ollama_body(refusal) if path.startswith(OLLAMA) else openai_body(refusal)
    if refusal.retry_after is not None:
        headers.append((b"retry-after", refusal.retry_after.encode("latin-1", "replace")))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="rbee"'))
    encoded = msgspec.json.encode(body)
    headers.append((b"content-length", str(len(encoded)).encode()))
    return ErrorResponse(status, tuple(headers), encoded)


def door_error(path: str, error: RbeeError, request_id: str) -> ErrorResponse:
    """What is answered at a door's path where a request does not come as far as the door.

    Args:
        path: of the door, without prefix.
        error: why.
        request_id: told in a header.
    """
    return refused(path, refusal_of(error), request_id)
