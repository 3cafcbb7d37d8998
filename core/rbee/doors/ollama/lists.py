"""The routes of Ollama's API that tell what is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError, RbeeError
from rbee.contract.types import Capability, WorkerState
from rbee.contract.version import __version__
from rbee.contract.wire import WorkerRecord, utc_now
from rbee.doors.models import ModelList, context_of, model_named, workers_of
from rbee.doors.ollama.requests import ShowRequest
from rbee.doors.parsing import parsed
from rbee.doors.refusal import refusal_of, refused
from rbee.gateway.body import read_body
from rbee.http.errors import public_error

OLLAMA_API = "0.12.11"
"""The version of Ollama whose API this is; clients look what they may ask for."""

_BODY = 64 * 1024
_MIB = 1024 * 1024
_SERVING = frozenset({WorkerState.READY, WorkerState.BUSY})
_CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        Capability.CHAT: "completion",
        Capability.COMPLETIONS: "completion",
        Capability.TOOLS: "tools",
        Capability.EMBEDDINGS: "embedding",
    }
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class _List(ABC):
    """One route that is answered at once, from what the queen knows.

    Args:
        models: the colony's.
    """

    def __init__(self, models: ModelList) -> None:
        self.models = models

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, path: str, request_id: str) -> None:
        """Serve one request."""
        status, headers = 200, [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode("latin-1"))]
        try:
            trusted = bool(scope.get("state", {}).get("trusted", False))
            body = msgspec.json.encode(await self.told(await read_body(receive, scope, _BODY), trusted=trusted))
            headers.append((b"content-length", str(len(body)).encode()))
        except Exception as error:
            told: RbeeError = public_error(error, where=path)
            refusal = refused(path, refusal_of(told), request_id)
            status, headers, body = refusal.status, list(refusal.headers), refusal.body
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    @abstractmethod
    async def told(self, body: bytes, *, trusted: bool) -> dict[str, Any]:
        """The answer.

        Args:
            body: of the request, mostly empty.
            trusted: the caller has sent the colony's token.

        Raises:
            RbeeError: there is none.
        """


class Tags(_List):
    """``GET /api/tags``: models that can be asked for."""

    async def told(self, body: bytes, *, trusted: bool) -> dict[str, Any]:
        """By the names that they can be asked for; sizes and digests are not told."""
        models = await self.models.models(trusted=trusted)
        return {"models": [{"name": one["id"], "model": one["id"], "details": {}} for one in models]}


_FOR_EVER = timedelta(days=365 * 100)


class Running(_List):
    """``GET /api/ps``: models that workers have loaded."""

    async def told(self, body: bytes, *, trusted: bool) -> dict[str, Any]:
        """Each once, with what its workers need together."""
        loaded = [worker for worker in self.models.workers() if worker.state in _SERVING]
        found = []
        for model in await self.models.models(trusted=trusted):
            if "alias_of" in model["rbee"]:
                continue
            if workers := workers_of(loaded, model):
                found.append(_running(model["id"], workers))
        return {"models": found}


class Show(_List):
    """``POST /api/show``: one model."""

    async def told(self, body: bytes, *, trusted: bool) -> dict[str, Any]:
        """What is known of it; a worker that has loaded it knows most."""
        request = parsed(body, ShowRequest)
        name = request.model or request.name
        if name is None:
            raise InvalidRequestError("The parameter 'model' is missing.", param="model")
        model = await model_named(self.models, name, trusted=trusted)
        workers = workers_of(self.models.workers(), model)
        info: dict[str, Any] = {"general.name": model["id"]}
        if (context := context_of(workers)) is not None:
            info["rbee.context_length"] = context
        told: dict[str, Any] = {"details": {}, "model_info": info}
        if known := {_CAPABILITIES.get(one) for worker in workers for one in worker.capabilities or ()} - {None}:
            told["capabilities"] = sorted(str(one) for one in known)
        return told


class Version(_List):
    """``GET /api/version``."""

    async def told(self, body: bytes, *, trusted: bool) -> dict[str, Any]:
        """Of the API, and of rbee."""
        return {"version": OLLAMA_API, "rbee": __version__}


def _running(name: str, workers: Sequence[WorkerRecord]) -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "model": name, "details": {}}
    vram = [worker.vram_mb for worker in workers if worker.vram_mb is not None]
    rss = [worker.rss_mb for worker in workers if worker.rss_mb is not None]
    if vram or rss:
        told["size"] = (sum(vram) + sum(rss)) * _MIB
    if vram:
        told["size_vram"] = sum(vram) * _MIB
    if (context := context_of(workers)) is not None:
        told["context_length"] = context
    left = [worker.unloads_in_s for worker in workers]
    # One that is kept for ever has no such time; Ollama tells one that is centuries away.
    kept = _FOR_EVER if None in left else timedelta(seconds=max(one for one in left if one is not None))
    told["expires_at"] = (utc_now() + kept).isoformat()
    return told
