"""The operations `load` and `unload`: models that are to be there, or to be gone, wherever they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbee.contract.durations import keep_alive_s
from rbee.contract.errors import ConflictError, InvalidRequestError, ModelNotFoundError
from rbee.contract.wire import Load, Loaded, Unload, Unloaded
from rbee.jobs import Narrator, parse
from rbee.queen.hives import Hives
from rbee.queen.idleness import may_be_stopped
from rbee.queen.loads import Loads
from rbee.queen.names import ModelNames
from rbee.queen.standing import Standing, Standings
from rbee.scheduler import Selector, selector
from rbee.telemetry import TelemetryRegistry, WorkerEntry


class Loading:
    """Loads and unloads by name.

    Args:
        telemetry: the colony.
        names: from names to models.
        loads: starts workers.
        hives: stop workers.
        standings: pins, and how long models stay.
    """

    def __init__(
        self, telemetry: TelemetryRegistry, names: ModelNames, loads: Loads, hives: Hives, standings: Standings
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._loads = loads
        self._hives = hives
        self._standings = standings

    async def load(self, body: dict[str, Any], say: Narrator) -> Loaded:
        """Have so many workers of a model serve, and say how long they stay."""
        wanted = parse(body, Load)
        kept = None if wanted.keep_alive is None else kept_s(wanted.keep_alive)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        where = selectors(wanted.where)
        found = await self._names.resolve(wanted.model, trusted=True)
        started = 0
        while len(there := self._loads.there(found, hive_id, where)) < wanted.replicas:
            if started == wanted.replicas:
                raise ConflictError(
                    f"{started} workers of {wanted.model!r} were started, and {len(there)} serve; others are stopped "
                    "meanwhile. `rbee ps` lists them."
                )
            await self._loads.another(found, hive_id, where, wanted.context_length, wanted.model, say.relay)
            started += 1
        for model_id in dict.fromkeys(entry.model_id for entry in there if entry.model_id is not None):
            await self._stand(model_id, pin=wanted.pin, kept=kept)
        ids = tuple(sorted(entry.worker_id for entry in there))
        say.say("queen", "load", f"{wanted.model} is served by {', '.join(ids)}", wanted.model)
        return Loaded(model=wanted.model, workers=ids, started=started, pinned=wanted.pin, keep_alive_s=kept)

    async def unload(self, body: dict[str, Any], say: Narrator) -> Unloaded:
        """Stop a model's workers, or one worker; what is open there is finished before, unless forced."""
        wanted = parse(body, Unload)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        entries = await self._meant(wanted.model, hive_id)
        stopped = []
        for entry in entries:
            if entry.hive_id is None or not may_be_stopped(entry):
                raise ConflictError(
                    f"Worker {entry.worker_id!r} was not started by a hive: stop it where it was started."
                )
            await self._hives.run(
                entry.hive_id,
                "worker_process_delete",
                {"worker_id": entry.worker_id, "force": wanted.force},
                say.relay,
                correlation_id=say.correlation_id,
            )
            self._telemetry.remove_worker(entry.worker_id)
            stopped.append(entry.worker_id)
        for model_id in {entry.model_id for entry in entries if entry.model_id is not None}:
            if not self._telemetry.find_workers_by_model(model_id):
                # A pin says that a model is to stay: who unloads it does not mean that any more.
                await self._standings.forget(model_id)
        return Unloaded(model=wanted.model, stopped=tuple(stopped))

    async def _meant(self, name: str, hive_id: str | None) -> list[WorkerEntry]:
        """Workers of a model, or the one of that id."""
        entry = self._telemetry.get_worker(name)
        if entry is not None:
            return [entry]
        found = await self._names.resolve(name, trusted=True)
        entries = [
            entry
            for model_id in found.model_ids
            for entry in self._telemetry.find_workers_by_model(model_id)
            if hive_id in {None, entry.hive_id}
        ]
        if not entries:
            raise ModelNotFoundError(f"No worker has loaded {name!r}; `rbee ps` lists workers.")
        return entries

    async def _stand(self, model_id: str, *, pin: bool, kept: float | None) -> None:
        before = self._standings.of(model_id) or Standing(model_id=model_id)
        await self._standings.put(
            Standing(
                model_id=model_id,
                pinned=pin or before.pinned,
                keep_alive_s=before.keep_alive_s if kept is None else kept,
            )
        )


def kept_s(value: str) -> float:
    """How long a model stays, in seconds.

    Raises:
        InvalidRequestError: it is no span of time.
    """
    try:
        return keep_alive_s(value)
    except ValueError as error:
        raise InvalidRequestError(f"'keep_alive': {error}", param="keep_alive") from error


def load_checked(body: dict[str, Any]) -> object:
    """The request in the body of a job, before one is made.

    Raises:
        InvalidRequestError: a field is unknown, missing or out of bounds; names it.
    """
    request = parse(body, Load)
    if request.keep_alive is not None:
        kept_s(request.keep_alive)
    selectors(request.where)
    return request


def selectors(where: Sequence[str]) -> tuple[Selector, ...]:
    """Demands on machines and devices.

    Raises:
        InvalidRequestError: one is none.
    """
    try:
        return tuple(map(selector, where))
    except ValueError as error:
        raise InvalidRequestError(f"'where': {error}", param="where") from error
