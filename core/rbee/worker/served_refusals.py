"""What a refusal of an engine's own server means for the caller of the worker."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from rbee.contract.errors import (
    InvalidRequestError,
    RateLimitedError,
    RbeeError,
    RequestTimeoutError,
    UnavailableError,
    WorkerFailedError,
)

_CREDENTIALS = frozenset({401, 403})
_THE_CALLERS = frozenset({400, 413, 422})
_LATER_S = 5
"""To wait where the server does not say for how long."""
_LONGEST = 500
"""Characters of a server's own words."""


def refused(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, worker_id: str, address: str
) -> RbeeError:
    """A refusal, by its status alone: the server may be anybody's, and its codes are its own.

    Credentials that it does not accept are the worker's and never the caller's.

    Args:
        status: of its answer, from 400 on.
        headers: of its answer, names in lower case.
        body: of its answer.
        worker_id: who asked it.
        address: of the server.
    """
    said = message_in(_decoded(body))
    who = f"The server at {address} that worker {worker_id!r} asks"
    told = f"{who} answered {status}{': ' + said.rstrip('.') if said else ' without saying why'}."
    if status in _THE_CALLERS:
        return InvalidRequestError(said or told)
    if status in _CREDENTIALS:
        return WorkerFailedError(
            f"{told} The worker's own credentials do not do there; give it others: "
            "rbee server add NAME URL --replace --key-stdin"
        )
    if status == 408:
        return RequestTimeoutError(f"{told} Ask again, or for less.")
    if status in {429, 503}:
        kind = RateLimitedError if status == 429 else UnavailableError
        seconds = _wait_s(headers)
        return kind(f"{told} Try again in {seconds} s.", retry_after_s=seconds)
    return WorkerFailedError(f"{told} Its own log may say more, or the worker's: rbee logs {worker_id}")


def message_in(found: Any) -> str:
    """A server's words for a failure, whichever way they are wrapped; empty when there are none."""
    for _ in range(2):
        if isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail")
    return found.strip()[:_LONGEST] if isinstance(found, str) else ""


def _wait_s(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Seconds that the server asks to wait, 1 at least."""
    # Imported late: what fetches models comes along, and most workers never need it.
    from rbee.contract.transfer.patience import wished_wait

    wished = wished_wait({name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
    return _LATER_S if wished is None else max(1, math.ceil(wished))


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
