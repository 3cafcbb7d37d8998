"""A worker that stands for a server that somebody runs already."""

from __future__ import annotations

import time

from rbee.builtin.openai_server.asking import served
from rbee.builtin.openai_server.connection import Connection
from rbee.builtin.openai_server.store import Connections
from rbee.builtin.openai_server.vendor import FORMAT, split
from rbee.contract.engine import Availability, Endpoint, EngineStatus, ServedEngine, StageReport
from rbee.contract.errors import EngineUnavailableError, ModelNotFoundError, NotFoundError, RbeeError, WorkerFailedError
from rbee.contract.types import Backend, Capability, LoadSpec

_LOOK_S = 10.0
"""Between two looks at whether the server still answers."""
_LOOK_PATIENCE_S = 0.9
"""A look is part of the question for figures, which has a second."""
_MISSED = 3
"""Looks in a row without an answer after which the server counts as gone."""
_REFUSED = frozenset({401, 403})


class OpenAIServerEngine(ServedEngine):
    """Passes requests to a server by its address; what a user already runs, or pays for, joins the colony.

    The server decides what it can do and refuses the rest in its own words.  Its key is read from the connections' file
    when the worker starts, and stands nowhere else.
    """

    name = "openai"
    formats = frozenset({FORMAT})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.EMBEDDINGS,
            Capability.TOOLS,
            Capability.JSON_SCHEMA,
            Capability.LOGPROBS,
        }
    )
    remote = True

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._slots: int | None = None
        self._looked_at = 0.0
        self._missed = 0

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True)

    def start(self, spec: LoadSpec, report: StageReport) -> Endpoint:
        """See that the server answers and has the model.

        Raises:
            EngineUnavailableError: it does not answer, or was forgotten.
            ModelNotFoundError: it has no such model.
        """
        server, model = split(spec.model_id)
        try:
            connection = Connections.here().get(server)
        except NotFoundError as error:
            raise EngineUnavailableError(error.message) from error
        report(f"asking {connection.url}")
        models = {one.id: one for one in served(connection)}
        # Some list nothing, or not everything that they serve: what was named by hand is taken at its word.
        if models and model not in models and connection.model(model) is None:
            raise ModelNotFoundError(
                f"The server {server!r} at {connection.url} has no model {model!r} any more. "
                f"It has: {', '.join(sorted(models)[:10])}."
            )
        self._connection, self._slots = connection, min(spec.slots, connection.slots)
        self._looked_at, self._missed = time.monotonic(), 0
        told = models.get(model)
        length = told.context_length if told else None
        return Endpoint(
            url=connection.origin,
            prefix=connection.prefix,
            headers=(("Authorization", f"Bearer {connection.key}"),) if connection.key else (),
            context_length=spec.context_length or length or spec.variant.context_length,
            model=model,
        )

    def stop(self) -> None:
        self._connection = None

    def status(self) -> EngineStatus:
        """The slots that it was given; how many others ask the same server, nobody tells."""
        connection = self._connection
        if connection is not None and time.monotonic() - self._looked_at >= _LOOK_S:
            try:
                served(connection, within_s=_LOOK_PATIENCE_S)
                self._missed = 0
            except EngineUnavailableError:
                self._missed += 1
            self._looked_at = time.monotonic()
        return EngineStatus(slots_total=self._slots)

    def alive(self) -> bool:
        """False once the server has left several questions unanswered: the worker leaves; the next one asks anew."""
        return self._missed < _MISSED

    def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
        """A refused key is the worker's trouble, and not the caller's, whose key is another."""
        connection = self._connection
        if status not in _REFUSED or connection is None:
            return None
        return WorkerFailedError(
            f"The server {connection.name!r} at {connection.url} refuses the key that rbee has for it ({status}); "
            f"renew it: rbee server add {connection.name} {connection.url} --replace --key-stdin"
        )
