"""Requests to the hub: each with limits for its time and size, and none that waits and tries again by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from rbee.contract import CONTRACT_VERSION
from rbee.contract.errors import RbeeError

from rbee_huggingface.environment import endpoint
from rbee_huggingface.library import library, line_error, session
from rbee_huggingface.refusals import nonsense, refusal_of, silence
from rbee_huggingface.tokens import token

STEP_S: Final = 15.0
"""For a connection, and for each part of an answer."""
WHOLE_S: Final = 60.0
"""For a whole answer."""

_TRIES: Final = 2
_BLOCK: Final = 1 << 16

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
    headers = library().utils.build_hf_headers(
        token=token() or False, library_name="rbee", library_version=CONTRACT_VERSION
    )
    # Unpacked, a small answer may be a very large one.
    headers["Accept-Encoding"] = "identity"
    failed = line_error()
    for left in reversed(range(_TRIES)):
        try:
            return _once(url, params, headers, repository, what, most)
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


def _once(url: str, params: Params, headers: Mapping[str, str], repository: str, what: str, most: int) -> bytes | None:
    ends = time.monotonic() + WHOLE_S
    body = bytearray()
    # Redirects are followed by the client, which takes the token off where they lead to another origin.
    request: dict[str, Any] = {"params": list(params), "headers": headers, "timeout": STEP_S}
    with session().stream("GET", url, **request, follow_redirects=True) as response:
        status = int(response.status_code)
        if status != 200:
            named = {str(name).lower(): str(value) for name, value in response.headers.items()}
            raise refusal_of(repository, what, status, named)
        for block in response.iter_bytes(_BLOCK):
            body += block
            if len(body) > most:
                return None
            if time.monotonic() > ends:
                raise silence(f"it takes longer than {WHOLE_S:.0f} s for {what}")
    return bytes(body)


def must(body: bytes | None, what: str, most: int) -> bytes:
    """A body that had to be small enough.

    Raises:
        UnreachableError: it was not.
    """
    if body is None:
        raise nonsense(what, f"it is larger than {most >> 20} MiB")
    return body
