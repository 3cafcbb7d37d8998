"""A server's refusals in words that clients of the API know."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rbee.contract.errors import InvalidRequestError, RbeeError, WorkerFailedError

from rbee_path.record import Failures

_ERRORS = 500


def refusal(failures: Failures, name: str, status: int, body: bytes) -> RbeeError | None:
    """An error for the body of a refusal; None for one in OpenAI's shape that says what it is.

    Args:
        failures: what the record knows of the server's words.
        name: of the engine.
        status: of the refusal.
        body: of it.
    """
    try:
        told: Any = json.loads(body)["error"]
        plain = isinstance(told, str)
        message = str(told if plain else told["message"]).rstrip(".")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if says(failures.dead, [message]):
        return WorkerFailedError(f"The server of engine {name!r} has died: {message}. Ask again: another is started.")
    if status >= _ERRORS and says(failures.request, [message]):
        return InvalidRequestError(f"{message}.")
    if plain and status < _ERRORS:
        return InvalidRequestError(f"{message}.")
    return None


def says(words: Iterable[str], lines: Iterable[str]) -> bool:
    """Whether any of these stands in the lines, in any case."""
    lower = "\n".join(lines).lower()
    return any(one.lower() in lower for one in words)
