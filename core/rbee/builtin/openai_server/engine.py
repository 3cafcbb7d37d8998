"""A worker that stands for a server that somebody runs already."""

from __future__ import annotations

from rbee.builtin.openai_server.asking import KEY_REFUSED, served
from rbee.builtin.openai_server.connection import Connection
from rbee.builtin.openai_server.store import Connections
from rbee.builtin.openai_server.vendor import FORMAT, split
from rbee.builtin.openai_server.watch import Watch
from rbee.contract.engine import Availability, Endpoint, EngineStatus, ServedEngine, StageReport
from rbee.contract.errors import EngineUnavailableError, ModelNotFoundError, NotFoundError, RbeeError, WorkerFailedError
from rbee.contract.types import Backend, Capability, LoadSpec

_SERVER_ERRORS = 500


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
        self._watch: Watch | None = None

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
        connections = Connections.here()
        try:
            connection = connections.get(server)
        except NotFoundError as error:
            raise EngineUnavailableError(error.message) from error
        report(f"asking {connection.url}")
        models = {one.id: one for one in served(connection)}
        # Some list nothing.  Others do not look at the name and would answer with whatever model they have now.
        if models and model not in models:
            raise ModelNotFoundError(
                f"The server {server!r} at {connection.url} has no model {model!r} any more. "
                f"It has: {', '.join(sorted(models)[:10])}. Take these: "
                f"rbee server add {server} {connection.url} --replace"
            )
        self._connection, self._slots = connection, connection.slots or spec.slots
        self._watch = Watch(connection, model, connections)
        self._watch.start()
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
        if self._watch is not None:
            self._watch.close()
        self._connection = self._watch = None

    def status(self) -> EngineStatus:
        """The slots that it was given; how many others ask the same server, nobody tells."""
        return EngineStatus(slots_total=self._slots)

    def alive(self) -> bool:
        """False once the server is gone or is another: the worker leaves, and the next one asks anew."""
        return self._watch is None or self._watch.gone is None

    def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
        """A refused key is the worker's trouble, and not the caller's, whose key is another."""
        connection, watch = self._connection, self._watch
        if connection is None or watch is None or (status != KEY_REFUSED and status < _SERVER_ERRORS):
            return None
        watch.look_soon()
        if status != KEY_REFUSED:
            return None
        return WorkerFailedError(
            f"The server {connection.name!r} at {connection.url} refuses the key that rbee has for it ({status}); "
            f"renew it: rbee server add {connection.name} {connection.url} --replace --key-stdin"
        )
