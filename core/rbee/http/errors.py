"""The one place where errors become HTTP.

Two envelopes: OpenAI's ``{"error": {"message", "type", "param", "code"}}`` on the OpenAI routes and
``{"error": {"code", "message", "details", "correlation_id"}}`` on all others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    RbeeError,
    UnavailableError,
)

log = logging.getLogger(__name__)

STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        "INVALID_REQUEST": 400,
        "CONTEXT_LENGTH_EXCEEDED": 400,
        "INVALID_API_KEY": 401,
        "FORBIDDEN": 403,
        "NOT_FOUND": 404,
        "MODEL_NOT_FOUND": 404,
        "METHOD_NOT_ALLOWED": 405,
        "REQUEST_TIMEOUT": 408,
        "CONFLICT": 409,
        "PAYLOAD_TOO_LARGE": 413,
        "MODEL_FILE_INVALID": 422,
        "RATE_LIMITED": 429,
        "REQUEST_CANCELED": 499,
        "INTERNAL": 500,
        "WORKER_FAILED": 500,
        "CONFIGURATION": 500,
        "PORT_TAKEN": 500,
        "PLUGIN": 500,
        "ENGINE_UNAVAILABLE": 501,
        "UNREACHABLE": 502,
        "UNAVAILABLE": 503,
        "WORKER_NOT_READY": 503,
        "QUEUE_FULL": 503,
        "ALL_SLOTS_BUSY": 503,
        "NO_PLACEMENT": 503,
        "VRAM_EXHAUSTED": 507,
        "DISK_FULL": 507,
    }
)

_OPENAI_TYPES: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        405: "invalid_request_error",
        413: "invalid_request_error",
        422: "invalid_request_error",
        429: "rate_limit_error",
        503: "service_unavailable_error",
    }
)


class ErrorResponse(msgspec.Struct, frozen=True):
    """An error in HTTP's terms: status, headers (lower-case names) and body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def openai_error(error: RbeeError) -> dict[str, Any]:
    """The error as OpenAI's clients read it."""
    status = STATUS_BY_CODE[error.code]
    param = error.param if isinstance(error, InvalidRequestError) else None
    if isinstance(error, ModelNotFoundError):
        param = "model"
    body: dict[str, Any] = {
        "message": error.message,
        "type": _OPENAI_TYPES.get(status, "server_error"),
        "param": param,
        "code": error.code.lower(),
    }
    if error.details:
        body["details"] = error.details
    return {"error": body}


def control_error(error: RbeeError, correlation_id: str | None) -> dict[str, Any]:
    """The error as rbee's own routes tell it."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "correlation_id": correlation_id,
        }
    }


def public_error(error: BaseException, *, where: str) -> RbeeError:
    """The error a client may see; anything unplanned is logged with its traceback and told as INTERNAL."""
    if isinstance(error, RbeeError):
        return error
    log.error("unexpected error at %s", where, exc_info=error)
    return RbeeError(f"Something unexpected went wrong at {where!r}; the program's log has the details.")


def render(error: RbeeError, *, openai: bool, correlation_id: str | None = None) -> ErrorResponse:
    """Status, headers and JSON body for an error."""
    body = msgspec.json.encode(openai_error(error) if openai else control_error(error, correlation_id))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    status = STATUS_BY_CODE[error.code]
    if isinstance(error, UnavailableError):
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="rbee"'))
    if correlation_id:
        headers.append((b"x-request-id", correlation_id.encode("latin-1", "replace")))
    return ErrorResponse(status, tuple(headers), body)
