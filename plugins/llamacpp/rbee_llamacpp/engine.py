"""The engine."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rbee.contract import (
    Availability,
    Backend,
    Capability,
    Endpoint,
    EngineStatus,
    LoadSpec,
    ServedEngine,
    StageReport,
)
from rbee.contract.errors import EngineUnavailableError, RbeeError

from rbee_llamacpp.availability import LIBRARY, availability
from rbee_llamacpp.console import Console
from rbee_llamacpp.failure import LAST_LINE, load_failure
from rbee_llamacpp.options import OPTIONS, Adapter, adapters
from rbee_llamacpp.parameters import fill_parameters
from rbee_llamacpp.preflight import check_device, check_file
from rbee_llamacpp.refusals import IGNORED, check_lora, refusal
from rbee_llamacpp.sessions import Sessions, sessions, sessions_folder
from rbee_llamacpp.shapes import reshaped
from rbee_llamacpp.stderr import CapturedStderr

GENERATING = frozenset({"/v1/chat/completions", "/v1/completions"})

LOG_PATIENCE_S = 0.5
"""The library writes its log in a thread of its own and may still be writing when a load has failed."""


class LlamaCppEngine(ServedEngine):
    """llama.cpp's server, in this process, behind a key that only the worker host knows."""

    name = "llamacpp"
    formats = frozenset({"gguf"})
    backends = frozenset({Backend.CPU, Backend.METAL})
    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.TOOLS,
            Capability.JSON_SCHEMA,
            Capability.LOGPROBS,
            Capability.EMBEDDINGS,
            Capability.RERANK,
            Capability.CONTINUATION,
            Capability.GRAMMAR,
            Capability.LORA,
            Capability.SPECULATIVE,
            Capability.SLOT_CACHE,
        }
    )
    ignored_parameters = IGNORED
    options = OPTIONS

    # At home on processors; on a Mac's GPU an engine made for that goes first.
    preference = MappingProxyType({Backend.CPU: 20, Backend.METAL: 10})

    def __init__(self) -> None:
        self._server: Any = None
        self._console: Console | None = None
        self._sessions: Sessions | None = None
        self._adapters: tuple[Adapter, ...] = ()

    @classmethod
    def availability(cls) -> Availability:
        """Whether xllamacpp is installed and its system library is there."""
        return availability()

    def start(self, spec: LoadSpec, report: StageReport) -> Endpoint:
        """Load the model and listen on a free loopback port.

        Raises:
            EngineUnavailableError: the library or the device is missing.
            ModelFileError: the file is truncated or not a model.
            InsufficientMemoryError: it does not fit.
        """
        self.stop()
        check_device(spec)
        path = check_file(spec)
        report("importing llama.cpp")
        library = _import_library()
        report(f"loading {path}")
        key = secrets.token_urlsafe(32)
        parameters = library.CommonParams()
        files = sessions_folder(spec)
        fill_parameters(library, parameters, spec, path, key, files)
        self._server = _load(library, parameters, spec, path)
        unmeasured = Endpoint(url=self._server.listening_address, headers=(("Authorization", f"Bearer {key}"),))
        console = self._console = Console(unmeasured, spec.slots)
        context = console.context_length()
        self._adapters = adapters(spec)
        if files is not None:
            self._sessions = sessions(spec, files, context, console)
        return Endpoint(
            url=unmeasured.url,
            headers=unmeasured.headers,
            context_length=context,
            before=GENERATING,
            ignored_parameters=frozenset() if self._adapters else frozenset({"lora"}),
            # Seen with 2026.10: a client that leaves before its whole answer is complete occupies the slot to its end.
            whole_answers_cancel=False,
            # With progress to write, the server notices a lost client between two batches of a prompt.
            stream_fields={"return_progress": True},
        )

    def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
        """See `rbee_llamacpp.refusals`."""
        return refusal(path, body)

    def before(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Refuse what would be overlooked, and send the request to the slot that suits it."""
        fields = reshaped(body)
        if not self._adapters and self._sessions is None:
            return fields or None
        lora = body.get("lora")
        check_lora(lora, len(self._adapters), kept=self._sessions is not None)
        if self._sessions is not None:
            return {**fields, **self._sessions.before(path, {**body, **fields})}
        # Seen with 2026.10: a request that names no scales is computed with those of the start, upon what a slot holds
        # of another request's; only one that names them has that forgotten.
        scales = [{"id": at, "scale": one.scale} for at, one in enumerate(self._adapters)]
        return fields if lora else {**fields, "lora": scales}

    def after(self, path: str, fields: Mapping[str, Any]) -> None:
        """The slot is free again."""
        if self._sessions is not None:
            self._sessions.after(fields)

    def stop(self) -> None:
        """Drop the server: that ends its threads, cuts open answers, closes its port and frees the memory."""
        if self._sessions is not None:
            self._sessions.keep_all()
        self._sessions = None
        self._console = None
        self._server = None

    def status(self) -> EngineStatus:
        """Slots, queue and generated tokens as the server counts them."""
        console = self._console
        return EngineStatus() if console is None else console.status()


def _import_library() -> Any:
    # Threads that wait must sleep: spinning ones bring workers side by side to a crawl.  OpenMP reads this
    # once, as it is loaded with the library.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return importlib.import_module(LIBRARY)
    except ImportError as error:
        reason = availability().reason or f"{LIBRARY} cannot be imported: {error}"
        raise EngineUnavailableError(f"engine 'llamacpp' cannot run here: {reason}") from error


def _load(library: Any, parameters: Any, spec: LoadSpec, path: str) -> Any:
    captured = CapturedStderr()
    try:
        with captured:
            try:
                return library.Server(parameters)
            except RuntimeError:
                # Every failure raises the same words; what went wrong is only in the log.
                captured.wait_for(LAST_LINE, LOG_PATIENCE_S)
                raise
    except RuntimeError as error:
        raise load_failure(spec, path, captured.text) from error
    except MemoryError as error:
        raise load_failure(spec, path, "E out of memory") from error
