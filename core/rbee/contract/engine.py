"""What a vendor of an inference engine writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from rbee.contract.engine_options import EngineOption
from rbee.contract.errors import RbeeError
from rbee.contract.types import EngineInfo, LoadSpec

StageReport = Callable[[str], None]
"""Called by a loading engine with a few words on what it does; shown in ``GET /ready`` and narration."""


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an engine can run here.

    Attributes:
        available: it can.
        version: of the inference library, None when not installed.
        reason: why not, ending with the exact remedy (an install command); None when available.
    """

    available: bool
    version: str | None = None
    reason: str | None = None


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine tells of its load; None for what it does not know.

    Attributes:
        slots_total: requests it serves at the same time.
        slots_busy: of these, in use.
        queue_depth: requests that wait inside it.
        tokens_generated: since it was loaded; the host derives tokens a second from it.
        prompt_tokens: of all prompts since it was loaded.
        cached_tokens: of these, taken from a cache instead of computed.
    """

    slots_total: int | None = None
    slots_busy: int | None = None
    queue_depth: int | None = None
    tokens_generated: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None


class Engine(ABC):
    """An inference library behind a fixed face.

    Do not subclass it directly: take `ServedEngine` when the library brings an OpenAI-speaking server of its own,
    `rbee.contract.token_engine.TokenEngine` when it yields tokens.  The class attributes are read in hive and queen,
    where the library itself is never imported; one object is made in each worker process, without arguments.

    Attributes:
        name: unique among engines, as on the command line.
        formats: model formats it opens.
        backends: how it can drive devices.
        capabilities: what its workers offer.
        preference: how well it suits a backend, by backend; 0 for one that it does not name.  Where several engines
            could run a model on a device, in whatever formats its vendor offers it, the highest comes first, and its
            format is the one that is fetched.  By custom 30 for an engine that is made for that backend and nothing
            else, 20 for one that is at home there, 10 for one that runs well, below 0 for a makeshift.
        optional: most machines do not have it, and nobody has asked for it: where it is not available, nobody is
            warned.
        options: what may be set for its workers besides what every engine has; checked before a worker is started.
        remote: it computes somewhere else: its workers take no threads, memory or device of this machine.
        note: what a person should know before choosing it, in a sentence (that upstream is archived, say); None for
            nothing.
        splits: of `backends`, those over several of whose devices it spreads one model that fits none of them alone; it
            keeps to `LoadSpec.devices` then.  None by default: its workers get one device each.
    """

    name: ClassVar[str]
    formats: ClassVar[frozenset[str]]
    backends: ClassVar[frozenset[str]]
    capabilities: ClassVar[frozenset[str]]
    preference: ClassVar[Mapping[str, int]] = MappingProxyType({})
    optional: ClassVar[bool] = False
    options: ClassVar[Sequence[EngineOption]] = ()
    remote: ClassVar[bool] = False
    note: ClassVar[str | None] = None
    splits: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @abstractmethod
    def availability(cls) -> Availability:
        """Whether it can run on this machine; quick, and without importing the library where that is heavy."""

    @classmethod
    def info(cls) -> EngineInfo:
        """What a hive publishes about the engine."""
        found = cls.availability()
        return EngineInfo(
            name=cls.name,
            version=found.version,
            formats=tuple(sorted(cls.formats)),
            backends=tuple(sorted(cls.backends)),
            capabilities=tuple(sorted(cls.capabilities)),
            available=found.available,
            reason=found.reason,
            preference={str(backend): rank for backend, rank in cls.preference.items()},
            optional=cls.optional,
            options=tuple(cls.options),
            remote=cls.remote,
            note=cls.note,
            splits=tuple(sorted(cls.splits)),
        )

    @abstractmethod
    def status(self) -> EngineStatus:
        """Load figures.  Called about once a second while loaded; must return within a second."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a served engine listens.

    Attributes:
        url: ``http://127.0.0.1:PORT``, without a path; with ``https`` the server's certificate is checked.
        prefix: path that stands before the names of routes there.
        headers: to be sent with every request, a private key for one.
        context_length: tokens a slot; None when unknown.
        whole_answers_cancel: closing the connection of a request for a whole answer ends that request.  Where the
            server notices a lost client only when it writes, say False: the host then asks for a stream in its stead,
            whose loss is noticed, and puts the whole answer together.
        stream_fields: added to requests for streams that the host itself makes (whole answers by way of a stream, and
            ``/v1/infer``), and never to a client's; for a server that notices a lost client sooner with them.
        model: what the server calls its model, put into every request in place of the name that the client used; None,
            the default, for a server that does not look at the name.
        before: OpenAI routes, without prefix, whose requests `ServedEngine.before` is to see; none by default, which
            costs nothing.
        ignored_parameters: that the server drops without a word as it was started now, besides those that it always
            does.
    """

    url: str
    prefix: str = "/v1"
    headers: tuple[tuple[str, str], ...] = ()
    context_length: int | None = None
    whole_answers_cancel: bool = True
    stream_fields: dict[str, Any] = {}
    model: str | None = None
    before: frozenset[str] = frozenset()
    ignored_parameters: frozenset[str] = frozenset()


class ServedEngine(Engine):
    """An engine with an OpenAI-speaking HTTP server of its own.

    The worker host calls `start` and `stop` once each, in one thread, relays bytes to the endpoint in between, and
    cancels a request by closing its connection, upon which the engine must free the slot.

    Attributes:
        ignored_parameters: of OpenAI's API, those that the server would drop without a word; the host refuses requests
            in which they ask for something.

    Processes that the engine starts must stay in the worker's session or inherit its environment: by these the hive
    finds them, and ends them when the worker has crashed or was stopped while it loaded, and `stop` was not called.

    A whole plugin::

        class CafeEngine(ServedEngine):
            name = "cafe"
            formats = frozenset({"gguf"})
            backends = frozenset({Backend.CPU})
            capabilities = frozenset({Capability.CHAT})

            @classmethod
            def availability(cls):
                return Availability(available=True, version="1")

            def start(self, spec, report):
                report("starting the server")
                self.server = cafe.serve(spec.model_path, threads=spec.threads, host="127.0.0.1", port=0)
                return Endpoint(url=self.server.url)

            def stop(self):
                self.server.close()

            def status(self):
                return EngineStatus(slots_total=1, slots_busy=self.server.busy)
    """

    ignored_parameters: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def start(self, spec: LoadSpec, report: StageReport) -> Endpoint:
        """Load the model and listen on a free loopback port; blocks until requests can be answered.

        The endpoint must not be usable by other users of the machine: set a key where the server knows one.

        Raises:
            EngineUnavailableError: the library or the device is missing.
            ModelFileError: the file is truncated or not a model; the message says what the library said.
            InsufficientMemoryError: it does not fit.
        """

    @abstractmethod
    def stop(self) -> None:
        """Unload and release all memory; harmless when nothing is loaded."""

    def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
        """A refusal of the server's in words that clients of the API know; None to pass it on as it is.

        A prompt that is too long, for one, is a `ContextLengthError`.

        Args:
            path: OpenAI route without prefix.
            status: HTTP status, from 400 on.
            body: of the answer.
        """
        return None

    def before(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Look at a request before it is relayed, on the routes that `Endpoint.before` names.

        Called in threads, for several requests at the same time; the request waits for it.  Bring a conversation's
        cache back here, for one.

        Args:
            path: OpenAI route without prefix.
            body: the request's, whatever a client has sent.

        Returns:
            Fields to be put into the body in place of the client's, then `after` is called once the request has ended;
            None to leave the request alone and hear no more of it.

        Raises:
            RbeeError: the request is refused.
        """
        return None

    def after(self, path: str, fields: Mapping[str, Any]) -> None:
        """A request for which `before` has returned `fields` has ended, well or not; called once for each.

        On the event loop: it must not block.  A request that a client has left may go on in the server for a moment.
        """

    def alive(self) -> bool:
        """False once the engine has died under the host, which then leaves, so that another worker is started.

        Asked about once a second and before each request while loaded, on the event loop: it must not block.  An
        engine whose server is a process of its own says here whether that still runs.
        """
        return True
