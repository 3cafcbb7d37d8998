"""What the worker host needs of an engine, whichever of the two bases it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec

from rbee.contract.engine import EngineStatus, StageReport
from rbee.contract.wire import InferRequest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class InferDelta(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of an answer; the last one has `stop_reason` set and may carry no text.

    Attributes:
        text: new text.
        stop_reason: MAX_TOKENS, EOS or STOP_SEQUENCE, in the last piece.
        tokens: tokens generated in all, in the last piece where known.
    """

    text: str = ""
    stop_reason: str | None = None
    tokens: int | None = None


class EngineFace(ABC):
    """An engine in the hands of the worker host.  All methods run on the event loop and never block it."""

    @abstractmethod
    async def start(self, report: StageReport) -> int | None:
        """Load; returns the context length in tokens, None when unknown.  Raises as the engine does.

        `report` may be called from any thread.
        """

    def capabilities(self, offered: frozenset[str]) -> frozenset[str]:
        """Of what the engine offers for models of this kind, what it can do with the one that it has loaded."""
        return offered

    @abstractmethod
    async def stop(self) -> None:
        """Unload; harmless when nothing is loaded."""

    @abstractmethod
    async def status(self) -> EngineStatus:
        """Load figures."""

    @abstractmethod
    def alive(self) -> bool:
        """False once the loaded engine has died under the host."""

    @abstractmethod
    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request on an OpenAI route as an ASGI application.

        The path has been checked to be one of the OpenAI routes and the caller to be allowed.  A client that goes
        away ends the request in the engine.
        """

    @abstractmethod
    def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        """Answer a ``/v1/infer`` request; closing the iterator cancels it in the engine."""
