"""Events of a stream, as OpenAI's API sends them."""

from __future__ import annotations

from typing import Any

import msgspec

from rbee.contract.errors import RbeeError
from rbee.http.errors import openai_error

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def sse(value: Any) -> bytes:
    """`value` as one event of a stream."""
    return b"data: " + _encode(value) + b"\n\n"


def error_event(error: RbeeError) -> bytes:
    """An error as the last event of a stream that has begun."""
    return sse(openai_error(error))
