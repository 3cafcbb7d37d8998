"""Taking a request's body in, within its bounds, and the few fields of it that decide its way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rbee.contract.errors import CancelledByCallerError, InvalidRequestError, PayloadTooLargeError

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]


NOT_TOLD = msgspec.Raw()
"""A field that the body lacks."""


class RoutingFields(msgspec.Struct, frozen=True):
    """The only fields of a body that the relay reads; the raw ones are for the worker to check."""

    model: str
    stream: bool | None = False
    max_tokens: msgspec.Raw = NOT_TOLD
    max_completion_tokens: msgspec.Raw = NOT_TOLD
    prompt_cache_key: msgspec.Raw = NOT_TOLD
    service_tier: msgspec.Raw = NOT_TOLD


_DECODER = msgspec.json.Decoder(RoutingFields)


async def read_body(receive: Receive, scope: Scope, limit: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLargeError: it has more than `limit` bytes.
        InvalidRequestError: it is compressed.
        CancelledByCallerError: the client went away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise PayloadTooLargeError(f"The body has {int(value)} bytes; at most {limit} are taken.")
        if name == b"content-encoding" and value.lower() != b"identity":
            raise InvalidRequestError(
                f"Content-Encoding {value.decode('latin-1')!r} is not taken; send the body uncompressed."
            )
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CancelledByCallerError("The client went away.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise PayloadTooLargeError(f"The body has more than {limit} bytes.")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def routing_fields(body: bytes) -> RoutingFields:
    """What decides a request's way.

    Raises:
        InvalidRequestError: the body is not JSON, or lacks a model.
    """
    try:
        fields = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else None
        missing = "missing required field `model`" in str(error)
        message = "The body lacks 'model'; GET /v1/models lists what there is." if missing else f"The body: {error}."
        raise InvalidRequestError(message, param="model" if missing else field) from error
    except RecursionError as error:
        raise InvalidRequestError("The body is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The body is not JSON: {error}.") from error
    if not fields.model:
        raise InvalidRequestError("'model' must not be empty; GET /v1/models lists what there is.", param="model")
    return fields
