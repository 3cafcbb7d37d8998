"""Requests to the hub: each with limits for its time and size, and none that waits and tries again by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from rbee.contract import CONTRACT_VERSION
from rbee.contract.errors import RbeeError
from rbee.contract.transfer.addresses import MOST_REDIRECTS, next_address, origin, parsed

from rbee_huggingface.environment import endpoint
from rbee_huggingface.library import line_error, session
from rbee_huggingface.refusals import nonsense, refusal_of, silence
from rbee_huggingface.tokens import authorization

STEP_S: Final = 15.0
"""For a connection, and for each part of an answer."""
WHOLE_S: Final = 60.0
"""For a whole answer, with all that leads there."""

_TRIES: Final = 2
_BLOCK: Final = 1 << 16
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Params = Sequence[tuple[str, str]]


def address_of(repository: str, commit: str, file: str) -> str:
    """Where a file of a repository is."""
    return f"{endpoint()}/{repository}/resolve/{quote(commit, safe='')}/{quote(file)}"


def read(url: str, params: Params, *, repository: str, what: str, most: int) -> bytes | None:
    """The body of an answer, or None when it is larger than `most`.

    Args:
        url: at the hub.
        params: of its query.
        repository: as in `refusal_of`.
        what: as in `refusal_of`.
        most: bytes.

    Raises:
        RbeeError: it was refused, or did not come.
    """
    # Not those that the library would make: it asks the hub, without limits, which programs may be using it.
    # Unpacked, a small answer may be a very large one.
    headers = {"User-Agent": f"rbee/{CONTRACT_VERSION}", "Accept-Encoding": "identity", **dict(authorization())}
    ends = time.monotonic() + WHOLE_S
    failed = line_error()
    for left in reversed(range(_TRIES)):
        try:
            return _once(url, params, headers, repository, what, most, ends)
        except RbeeError:
            raise
        except failed as error:
            # A connection that was kept open may have been closed there in the meantime: that is worth another try.
            late = "Timeout" in type(error).__name__
            if late or not left:
                reason = f"no answer within {STEP_S:.0f} s" if late else str(error) or type(error).__name__
                raise silence(reason[:200]) from error
        except (OSError, ValueError, RuntimeError) as error:
            raise silence(str(error)[:200]) from error
    raise AssertionError("unreachable")


def _once(
    url: str, params: Params, headers: Mapping[str, str], repository: str, what: str, most: int, ends: float
) -> bytes | None:
    """One try, by as many steps as it is led on.

    The client could follow by itself, but it reads the body of every answer that only leads on, however long it is.
    """
    start = here = parsed(url)
    for turn in range(MOST_REDIRECTS + 1):
        # What is meant for the hub is for nobody to whom it leads.
        own = dict(headers) if origin(here) == origin(start) else _without_token(headers)
        request: dict[str, Any] = {"headers": own, "timeout": min(STEP_S, _left(ends, what))}
        if turn == 0:
            request["params"] = list(params)
        there = url if turn == 0 else here._replace(auth=None, fragment=None).url
        with session().stream("GET", there, **request, follow_redirects=False) as response:
            status = int(response.status_code)
            if status == 200:
                return _body(response, what, most, ends)
            named = {str(name).lower(): str(value) for name, value in response.headers.items()}
        location = named.get("location")
        if status not in _REDIRECTS or not location or turn == MOST_REDIRECTS:
            raise refusal_of(repository, what, status, named)
        here = next_address(start, here, location, direct=False)
    raise AssertionError("the last turn raises")


def _body(response: Any, what: str, most: int, ends: float) -> bytes | None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise nonsense(what, "it is packed, which was not asked for")
    body = bytearray()
    for block in response.iter_raw(_BLOCK):
        body += block
        if len(body) > most:
            return None
        _left(ends, what)
    return bytes(body)


def _left(ends: float, what: str) -> float:
    """Seconds that are left.

    Raises:
        UnreachableError: none.
    """
    left = ends - time.monotonic()
    if left <= 0:
        raise silence(f"it takes longer than {WHOLE_S:.0f} s for {what}")
    return left


def _without_token(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "Authorization"}


def must(body: bytes | None, what: str, most: int) -> bytes:
    """A body that had to be small enough.

    Raises:
        UnreachableError: it was not.
    """
    if body is None:
        raise nonsense(what, f"it is larger than {most >> 20} MiB")
    return body
