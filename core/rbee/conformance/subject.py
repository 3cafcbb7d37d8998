"""The worker under examination: what it said of itself, and how it is asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import msgspec

from rbee.conformance.checks import NotAskedError
from rbee.conformance.client import Answer, Http
from rbee.contract.errors import AuthenticationError, UnreachableError, WorkerNotReadyError
from rbee.contract.types import Capability

_POLL_S = 0.05
_CONTEXT = 2048
_WORDS = 256
_TOKENS = 1024
_SHORT = 24


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take.

    Attributes:
        check_s: one check, and the worker's coming up before the first.
        cancel_s: from a cancellation to a free slot.
    """

    check_s: float = 60.0
    cancel_s: float = 5.0


class Subject:
    """A running worker; nobody else should ask it anything meanwhile, or slots are counted wrongly.

    Args:
        http: to the worker.
        limits: how long things may take.
        model: name sent in requests; None for what ``GET /v1/models`` says.
        may_end: the checks that end the worker are wanted.
    """

    def __init__(
        self, http: Http, limits: Limits | None = None, *, model: str | None = None, may_end: bool = False
    ) -> None:
        self.http = http
        self.limits = limits or Limits()
        self.model = model
        self.may_end = may_end
        self.ending = False
        """It has been told to shut down."""
        self.told: dict[str, Any] = {}
        """What ``GET /info`` says of the worker, whatever its shape."""
        self.capabilities: frozenset[str] = frozenset()
        self.contract_version: str | None = None

    async def meet(self) -> None:
        """Wait until it is ready, and hear what it says of itself.

        Raises:
            UnreachableError: nobody answers.
            WorkerNotReadyError: it is not ready in time.
            AuthenticationError: it wants a token, or another one.
        """
        try:
            await self._until_ready()
            info, offers = await self.http.ask("GET", "/info"), await self.http.ask("GET", "/capabilities")
            models = await self.http.ask("GET", "/v1/models")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UnreachableError(
                f"No worker answers at {self.http.url} ({str(error) or type(error).__name__}); is it running?"
            ) from error
        if 401 in {info.status, offers.status}:
            raise AuthenticationError(
                f"The worker at {self.http.url} asks for {'another' if self.http.token else 'a'} token; "
                "give the file that holds it with --token-file."
            )
        facts = _facts(info)
        worker = facts.get("worker")
        self.told = worker if isinstance(worker, dict) else {}
        version = facts.get("contract_version")
        self.contract_version = version if isinstance(version, str) else None
        declared = _facts(offers).get("capabilities", self.told.get("capabilities"))
        self.capabilities = frozenset(one for one in declared or () if isinstance(one, str))
        if self.model is None:
            self.model = _model(_facts(models)) or self.told.get("model_name") or self.told.get("model_id")

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + self.limits.check_s
        while (answer := await self.http.ask("GET", "/ready")).status == 503:
            if time.monotonic() > deadline:
                raise WorkerNotReadyError(
                    f"The worker at {self.http.url} is not ready after {self.limits.check_s:g} s: {answer}"
                )
            await asyncio.sleep(_POLL_S)

    def can(self, capability: str) -> bool:
        """Whether it declares the capability."""
        return capability in self.capabilities

    def infer(self, prompt: str, **more: Any) -> dict[str, Any]:
        """Body of a short ``/v1/infer`` request with the likeliest tokens."""
        return {"prompt": prompt, "max_tokens": _SHORT, "temperature": 0, **more}

    def long_infer(self, **more: Any) -> dict[str, Any]:
        """Body of a ``/v1/infer`` request whose answer takes as long as may be."""
        raw = {"raw": True} if self.can(Capability.COMPLETIONS) else {}
        return {"prompt": self._count(), **raw, "max_tokens": self._long_tokens(), **more}

    def chat(self, text: str, **more: Any) -> dict[str, Any]:
        """Body of a short chat with the likeliest tokens."""
        messages = [{"role": "user", "content": text}]
        return {"model": self.model, "messages": messages, "max_tokens": _SHORT, "temperature": 0, **more}

    def completion(self, text: str, **more: Any) -> dict[str, Any]:
        """Body of a short completion with the likeliest tokens."""
        return {"model": self.model, "prompt": text, "max_tokens": _SHORT, "temperature": 0, **more}

    def long_openai(self, **more: Any) -> tuple[str, dict[str, Any]]:
        """An OpenAI route that generates, and the body of a request whose answer takes as long as may be."""
        more = {"max_tokens": self._long_tokens(), **more}
        if self.can(Capability.COMPLETIONS):
            return "/v1/completions", self.completion(self._count(), **more)
        return "/v1/chat/completions", self.chat(self._count(), **more)

    def _context(self) -> int:
        length = self.told.get("context_length")
        return length if isinstance(length, int) and length > 0 else _CONTEXT

    def _count(self) -> str:
        return " ".join(map(str, range(1, min(_WORDS, self._context() // 8) + 1)))

    def _long_tokens(self) -> int:
        return max(1, min(_TOKENS, self._context() // 4))

    def slots_total(self) -> int:
        """Requests that it serves at the same time.

        Raises:
            NotAskedError: it does not tell.
        """
        total = self.told.get("slots_total")
        if not isinstance(total, int) or total < 1:
            raise NotAskedError("GET /info does not tell the worker's slots")
        return total

    async def free_slots(self) -> int:
        """Slots that are free now.

        Raises:
            NotAskedError: it does not tell.
        """
        worker = _facts(await self.http.ask("GET", "/info")).get("worker") or {}
        free = worker.get("slots_available")
        if not isinstance(free, int):
            raise NotAskedError("GET /info does not tell free slots")
        return free

    async def all_free(self) -> tuple[bool, int]:
        """Wait until every slot is free, as long as a cancellation may take; whether they are, and how many were."""
        total = self.slots_total()
        deadline = time.monotonic() + self.limits.cancel_s
        while (free := await self.free_slots()) < total and time.monotonic() < deadline:  # noqa: ASYNC110  # the worker is asked
            await asyncio.sleep(_POLL_S)
        return free >= total, free


def _facts(answer: Answer) -> dict[str, Any]:
    """The object in an answer; an empty one where there is none, which a check of its own will find."""
    try:
        value = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _model(models: dict[str, Any]) -> str | None:
    data = models.get("data")
    first = data[0] if isinstance(data, list) and data else None
    name = first.get("id") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None
