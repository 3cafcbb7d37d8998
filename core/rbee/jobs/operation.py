"""What can be asked for: a handler, what its request looks like, and whether it may be begun again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rbee.jobs.narrator import Narrator

JobHandler = Callable[[dict[str, Any], Narrator], Awaitable[Any]]
"""Does the work of one operation; what it returns, unless None, becomes a last ``data`` event ``result``."""


def _as_it_is(body: dict[str, Any]) -> dict[str, Any]:
    return body


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a program.

    Attributes:
        handler: does the work.
        request: type of its body, checked before the job is taken; None where `check` does that.
        check: raises InvalidRequestError for a body that the handler would refuse for itself alone, whatever else is
            going on; called before the job is taken, changes nothing and costs little.
        resumable: after a crash of the program the handler is called again with the same body.  Only for what does no
            harm when it is done twice.
        complete: adds to a body what must be the same the second time, an id for one; called before the job is stored.
    """

    handler: JobHandler
    request: type[msgspec.Struct] | None = None
    check: Callable[[dict[str, Any]], object] = _as_it_is
    resumable: bool = False
    complete: Callable[[dict[str, Any]], dict[str, Any]] = _as_it_is
