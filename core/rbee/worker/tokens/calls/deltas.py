"""Calls of tools as they come."""

from __future__ import annotations

import uuid

import msgspec


class CallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a call.

    Attributes:
        index: of the call within its answer, from 0.
        id: of the call, in its first piece.
        name: of the tool, in the first piece.
        arguments: what comes next of the arguments' JSON.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Counter:
    """Numbers the calls of one answer and gives them their ids."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self, name: str, arguments: str = "") -> CallDelta:
        """The first piece of the next call."""
        index, self.begun = self.begun, self.begun + 1
        return CallDelta(index=index, id=f"call_{uuid.uuid4().hex[:24]}", name=name, arguments=arguments)

    def more(self, arguments: str) -> CallDelta:
        """A further piece of the last call."""
        return CallDelta(index=self.begun - 1, arguments=arguments)
