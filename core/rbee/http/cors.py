"""What a browser has to be told before a page of another origin may call and read.

Format: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from rbee.http.guard import Guard, Headers

Send = Callable[[dict[str, Any]], Awaitable[None]]

_METHODS = b"GET, POST, DELETE, OPTIONS"
_HEADERS = ("authorization", "content-type", "x-api-key", "x-request-id", "last-event-id")
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_MOST_NAMES = 64
_MAX_AGE_S = b"600"


def allowed_origin(guard: Guard, headers: Headers) -> bytes | None:
    """The request's Origin when its pages may call, else None; also when there is none."""
    origin, host = _first(headers, b"origin"), _first(headers, b"host")
    if origin is None or host is None:
        return None
    return origin if guard.allows_origin(origin.decode("latin-1"), host.decode("latin-1")) else None


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks in advance whether a page may send a request."""
    return (
        method == "OPTIONS"
        and _first(headers, b"origin") is not None
        and _first(headers, b"access-control-request-method") is not None
    )


def preflight_answer(headers: Headers) -> Headers:
    """Headers of the answer to a preflight, those of `telling` aside.

    The origin is one the operator trusts, so whatever harmlessly named headers its libraries add are let through.
    """
    asked = (_first(headers, b"access-control-request-headers") or b"").decode("latin-1").lower().split(",")
    further = [name.strip() for name in asked[:_MOST_NAMES] if _NAME.fullmatch(name.strip())]
    names = ", ".join(dict.fromkeys((*_HEADERS, *further)))
    return [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", names.encode()),
        (b"access-control-max-age", _MAX_AGE_S),
    ]


def telling(send: Send, origin: bytes) -> Send:
    """`send`, with what lets a page of `origin` read the answer: the exact origin, never any."""
    told = told_to_pages(origin)

    async def with_origin(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *told]}
        await send(message)

    return with_origin


def told_to_pages(origin: bytes) -> Headers:
    """What lets a page of `origin` read an answer."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"x-request-id"),
        (b"vary", b"origin"),
    ]


def _first(headers: Headers, name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
