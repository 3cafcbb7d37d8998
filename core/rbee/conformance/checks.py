"""Checks as data, and what comes of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from rbee.contract.types import Capability

if TYPE_CHECKING:
    from rbee.conformance.subject import Subject

Verdict = Literal["kept", "broken", "skipped"]

ANSWERS = frozenset({Capability.CHAT, Capability.COMPLETIONS})
"""What a worker needs, one of them, to generate text."""


class BrokenPromiseError(Exception):
    """The worker does not keep the promise; the message says what was seen instead."""


class NotAskedError(Exception):
    """The promise cannot be looked at here; the message says why."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of the contract.

    Attributes:
        id: stable: one that is given up is never used for another.
        promise: a sentence, the same in ``docs/reference/conformance.md``.
        run: asks the worker; returns when the promise is kept.
        needs: capabilities of which the worker must declare one; empty for every worker.
    """

    id: str
    promise: str
    run: Callable[[Subject], Awaitable[None]]
    needs: frozenset[str] = frozenset()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one check.

    Attributes:
        id: of the check.
        promise: of the check.
        verdict: kept, broken or skipped.
        detail: what was seen, or why it was skipped; None for a promise kept.
        seconds: it took.
    """

    id: str
    promise: str
    verdict: Verdict
    detail: str | None
    seconds: float


def require(kept: object, seen: str) -> None:
    """Go on when `kept` is true.

    Raises:
        BrokenPromiseError: it is not; `seen` says what was seen instead.
    """
    if not kept:
        raise BrokenPromiseError(seen)
