"""A record as an engine."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from types import MappingProxyType
from typing import ClassVar

from rbee.contract import Availability, Endpoint, EngineStatus, LoadSpec, ServedEngine, StageReport
from rbee.contract.errors import (
    EngineUnavailableError,
    InsufficientMemoryError,
    ModelFileError,
    ModelNotFoundError,
    RbeeError,
)

from rbee_path.asking import UNREADABLE, Figurer, Server
from rbee_path.availability import availability, joinable, program_of
from rbee_path.child import Child
from rbee_path.reading import Broken
from rbee_path.record import EngineRecord, Failures, Figures, OnBackend
from rbee_path.refusals import refusal, says
from rbee_path.template import fill, fill_groups

HOST = "127.0.0.1"

_LOOK_S = 0.05
_TRIES = 3
_TAKEN = re.compile(r"address (?:is )?already in use|EADDRINUSE|could ?n[o']t bind", re.IGNORECASE)
_MISSED = 5
"""Questions in a row that a joined server leaves unanswered before it counts as gone."""


class PathEngine(ServedEngine):
    """A server that this machine has, as its record describes it.

    Attributes:
        record: the description.
    """

    record: ClassVar[EngineRecord]

    def __init__(self) -> None:
        self._child: Child | None = None
        self._figurer: Figurer | None = None
        self._joined: Server | None = None
        self._missed = 0

    @classmethod
    def availability(cls) -> Availability:
        """Whether the program is on the PATH, or a server answers that can be joined."""
        return availability(cls.record)

    def start(self, spec: LoadSpec, report: StageReport) -> Endpoint:
        """Join the server that runs, or start one on a free loopback port and wait until it can be asked.

        Raises:
            EngineUnavailableError: it is not here, or does not come up; with its last words.
            ModelFileError: its last words are about the model's file.
            ModelNotFoundError: the server that was joined does not have the model.
            InsufficientMemoryError: its last words are about memory.
        """
        self.stop()
        record = self.record
        if record.join is not None and joinable(record):
            report(f"joining {record.program} at {record.join.url}")
            server = self._joined = Server(url=record.join.url)
            return self._endpoint(server, spec)
        program = program_of(record)
        if program is None:
            raise EngineUnavailableError(f"Engine {self.name!r} cannot run here: {availability(record).reason}.")
        if record.join is None and spec.model_path is None:
            raise ModelFileError(f"Model {spec.model_id!r} came without a file; engine {self.name!r} needs one.")
        for left in reversed(range(_TRIES)):
            try:
                return self._endpoint(self._run(program, spec, report), spec)
            except RbeeError as error:
                self.stop()
                # Between our look for a free port and its own, somebody else has taken it.
                if not left or not _TAKEN.search(error.message):
                    raise
        raise AssertionError("the last try has raised")

    def stop(self) -> None:
        """End the process group of a server that was started; leave one alone that was joined."""
        child, self._child = self._child, None
        self._figurer = self._joined = None
        self._missed = 0
        if child is not None:
            child.end()

    def alive(self) -> bool:
        """Whether the process runs and has not said that it is dead.

        A joined server is gone when it has left several questions unanswered.
        """
        if self._joined is not None:
            return self._missed < _MISSED
        child = self._child
        return child is not None and child.code is None and not says(self.record.failures.dead, child.said())

    def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
        """See `rbee_path.refusals`."""
        return refusal(self.record.failures, self.name, status, body)

    def status(self) -> EngineStatus:
        """As much as the server tells."""
        figurer, joined, join = self._figurer, self._joined, self.record.join
        if joined is not None and join is not None:
            self._missed = 0 if joined.answers(join.models) else self._missed + 1
        return EngineStatus() if figurer is None else figurer.status()

    def _endpoint(self, server: Server, spec: LoadSpec) -> Endpoint:
        record = self.record
        if record.join is not None:
            self._check_model(server, spec)
        own = Figures() if self._joined is not None else record.figures
        self._figurer = Figurer(server, own, spec.slots)
        answers = record.answers
        return Endpoint(
            url=server.url,
            headers=server.headers,
            context_length=_context(spec),
            whole_answers_cancel=answers.whole_cancel,
            stream_fields=dict(answers.stream_fields),
            model=None if answers.model is None else fill(answers.model, values_of(spec)),
        )

    def _run(self, program: str, spec: LoadSpec, report: StageReport) -> Server:
        record, key, port = self.record, secrets.token_urlsafe(32), _free_port()
        values = {**values_of(spec), "program": program, "host": HOST, "port": str(port), "api_key": key}
        more = record.on.get(spec.backend, OnBackend())  # type: ignore[call-overload]  # a word of a vendor's own is in none
        argv = [program, *fill_groups((*record.arguments, *more.arguments), values)]
        variables = {name: fill(text, values) for name, text in {**record.environment, **more.environment}.items()}
        environment = {**os.environ, **{name: value for name, value in variables.items() if value is not None}}
        report(f"starting {program}")
        try:
            child = self._child = Child(argv, environment)
        except OSError as error:
            raise EngineUnavailableError(f"'{program}' cannot be started: {error.strerror or error}.") from error
        headers = (("Authorization", f"Bearer {key}"),) if record.key else ()
        server = Server(url=f"http://{HOST}:{port}", headers=headers)
        until = time.monotonic() + record.ready.timeout_s
        report(f"{record.program} loads {spec.model_path or spec.model_id}")
        while child.code is None:
            if server.answers(record.ready.path):
                if record.ready.ask:
                    self._ask(server, program, child, spec, until)
                return server
            if time.monotonic() > until:
                raise EngineUnavailableError(
                    f"'{program}' was not ready within {record.ready.timeout_s:g} s. "
                    f"It said: {child.last_words() or 'nothing'}."
                )
            time.sleep(_LOOK_S)
        raise _failure(record.failures, program, child, spec)

    def _ask(self, server: Server, program: str, child: Child, spec: LoadSpec, until: float) -> None:
        """Have one token completed, of a server that answers before it has loaded.

        Raises:
            RbeeError: it cannot do that, and why.
        """
        model = fill(self.record.answers.model or "{model_id}", values_of(spec)) or spec.model_id
        try:
            server.complete(model, max(1.0, until - time.monotonic()))
        except UNREADABLE as error:
            raise _failure(self.record.failures, program, child, spec, f"{error}") from error

    def _check_model(self, server: Server, spec: LoadSpec) -> None:
        """A server with models of its own must have this one.

        Raises:
            ModelNotFoundError: it does not; the message says how to bring it.
            EngineUnavailableError: it does not tell.
        """
        join, values = self.record.join, values_of(spec)
        if join is None:
            return
        try:
            models = server.models(join.models)
        except (*UNREADABLE, KeyError) as error:
            raise EngineUnavailableError(
                f"{self.record.program} at {server.url} does not list its models ({error}); is it another program?"
            ) from error
        wanted = values["model_name"] or ""
        if not {wanted, f"{wanted}:latest"} & set(models):
            fetch = None if join.fetch is None else fill(join.fetch, values)
            raise ModelNotFoundError(
                f"{self.record.program} at {server.url} does not have the model {wanted!r}. "
                + (f"Bring it: {fetch}. " if fetch else "")
                + f"It has: {', '.join(sorted(models)[:10]) or 'none'}."
            )


def engine_of(record: EngineRecord | Broken, *, optional: bool = False) -> type[PathEngine]:
    """A class of its own for a record; of a broken one, an engine that says so.

    Args:
        record: the description.
        optional: nobody has asked for it here.
    """
    name = f"path-{record.name}"
    title = "".join(part.capitalize() for part in re.split(r"\W+", name)) + "Engine"
    if isinstance(record, EngineRecord):
        facts = {
            "formats": frozenset(record.formats),
            "backends": frozenset(record.backends),
            "capabilities": frozenset(record.capabilities),
            "ignored_parameters": frozenset(record.ignores),
            "preference": MappingProxyType(dict(record.preference)),
            "splits": frozenset(record.splits),
            "record": record,
            "optional": optional,
        }
        return type(title, (PathEngine,), {"__doc__": record.summary, "__module__": __name__, "name": name, **facts})
    nothing: frozenset[str] = frozenset()
    found = Availability(available=False, reason=record.reason)

    def availability(_cls: type[PathEngine]) -> Availability:
        return found

    return type(
        title,
        (PathEngine,),
        {
            "__doc__": "A record that cannot be read.",
            "__module__": __name__,
            "name": name,
            "formats": nothing,
            "backends": nothing,
            "capabilities": nothing,
            "availability": classmethod(availability),
        },
    )


def _context(spec: LoadSpec) -> int | None:
    """Tokens a slot: what was asked for, never beyond the model's own; None leaves it to the server."""
    known = [one for one in (spec.context_length, spec.variant.context_length) if one is not None]
    return min(known) if spec.context_length is not None else None


def values_of(spec: LoadSpec) -> dict[str, str | None]:
    """What stands in the places of a template for a load; None where it is unknown."""
    context = _context(spec)
    number = re.search(r"(\d+)\Z", spec.device)
    numbers = [found[1] for one in spec.device_ids if (found := re.search(r"(\d+)\Z", one))]
    shares = [share.memory_bytes for share in spec.devices]
    return {
        "model": spec.model_path,
        "model_id": spec.model_id,
        "model_name": spec.variant.name.partition(":")[2] or spec.variant.name,
        "context": None if context is None else str(context),
        "context_total": None if context is None else str(context * spec.slots),
        "slots": str(spec.slots),
        "threads": str(spec.threads),
        "device": spec.device,
        "device_number": None if number is None else number[1],
        "device_numbers": ",".join(numbers) if len(numbers) == len(spec.device_ids) else None,
        # Only where there are several: a group of words with it is left out for one.
        "device_count": str(len(spec.devices)) if spec.devices else None,
        "device_shares": ",".join(str(one >> 20) for one in shares if one is not None)
        if shares and None not in shares
        else None,
        "memory_mb": None if spec.memory_bytes is None else str(spec.memory_bytes >> 20),
    }


def _failure(failures: Failures, program: str, child: Child, spec: LoadSpec, answer: str = "") -> RbeeError:
    """Why a server has ended before it was ready, or answers that it cannot."""
    told = f"It said: {' | '.join(filter(None, (answer, child.last_words()))) or 'nothing'}."
    lines = [*child.said(), answer]
    if says(failures.memory, lines):
        return InsufficientMemoryError(
            f"'{program}' has no memory for '{spec.model_path}' on {spec.device}. {told} "
            "Ask for a smaller context, fewer slots, or a smaller quantisation."
        )
    if says(failures.model, lines):
        return ModelFileError(f"'{program}' cannot open the model '{spec.model_path}'. {told}")
    if child.code is None:
        return EngineUnavailableError(f"'{program}' cannot serve '{spec.model_path or spec.model_id}'. {told}")
    return EngineUnavailableError(f"'{program}' ended with code {child.code} before it was ready. {told}")


def _free_port() -> int:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])
