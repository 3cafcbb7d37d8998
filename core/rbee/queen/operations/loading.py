"""The operations `load` and `unload`: models that are to be there, or to be gone, wherever they fit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rbee.contract.durations import keep_alive_s
from rbee.contract.errors import (
    ConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    NoPlacementError,
    UnreachableError,
)
from rbee.contract.wire import Load, Loaded, Unload, Unloaded
from rbee.jobs import Narrator, parse
from rbee.queen.departures import Departures
from rbee.queen.hives import Hives
from rbee.queen.idleness import may_be_stopped
from rbee.queen.loads import Loads, Wanted
from rbee.queen.names import ModelNames
from rbee.queen.residence import Residence
from rbee.queen.standing import Standing
from rbee.scheduler import Selector, selector
from rbee.telemetry import TelemetryRegistry, WorkerEntry


class Loading:
    """Loads and unloads by name.

    Args:
        telemetry: the colony.
        names: from names to models.
        loads: starts workers.
        hives: which are online.
        departures: stop workers.
        residence: pins, and how long models stay.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        loads: Loads,
        hives: Hives,
        departures: Departures,
        residence: Residence,
    ) -> None:
        self._departures = departures
        self._telemetry = telemetry
        self._names = names
        self._loads = loads
        self._hives = hives
        self._residence = residence

    async def load(self, body: dict[str, Any], say: Narrator) -> Loaded:
        """Have so many workers of a model serve, and say how long they stay."""
        wanted = parse(body, Load)
        kept = None if wanted.keep_alive is None else kept_s(wanted.keep_alive)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        meant = Wanted(
            name=wanted.model,
            found=await self._names.resolve(wanted.model, trusted=True),
            hive_id=hive_id,
            where=selectors(wanted.where),
            context_length=wanted.context_length,
        )
        small = {
            entry.worker_id
            for entry in self._loads.there(meant.found, hive_id, meant.where)
            if _is_small(entry, wanted.context_length)
        }
        started = 0
        while True:
            there = [one for one in self._loads.there(meant.found, hive_id, meant.where) if one.worker_id not in small]
            for model_id in dict.fromkeys(one.model_id for one in there if one.model_id is not None):
                # Before the next one is begun: the first must not be stopped meanwhile.
                await self._residence.stand(model_id, pin=wanted.pin, keep_alive_s=kept)
            if len(there) >= wanted.replicas:
                break
            if started == wanted.replicas:
                raise ConflictError(
                    f"{started} workers of {wanted.model!r} were started, and {len(there)} serve; others are stopped "
                    "meanwhile. `rbee ps` lists them."
                )
            try:
                meant = await self._loads.another(meant, say.relay)
            except NoPlacementError as error:
                if not small:
                    raise
                raise NoPlacementError(
                    f"{error.message} It is loaded with less context by {', '.join(sorted(small))}: "
                    f"`rbee unload {wanted.model}` makes room.",
                    details=error.details,
                ) from error
            started += 1
        ids = tuple(sorted(entry.worker_id for entry in there))
        say.say("queen", "load", f"{wanted.model} is served by {', '.join(ids)}", wanted.model)
        standing = next(
            (one for entry in there if (one := self._residence.standings.of(entry.model_id))),
            Standing(model_id=wanted.model),
        )
        return Loaded(
            model=wanted.model,
            workers=ids,
            started=started,
            pinned=standing.pinned,
            keep_alive_s=standing.keep_alive_s,
        )

    async def unload(self, body: dict[str, Any], say: Narrator) -> Unloaded:
        """Stop a model's workers, or one worker; what is open there is finished before, unless forced."""
        wanted = parse(body, Unload)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        entries = await self._meant(wanted.model, hive_id)
        stops = (self._stop(entry.worker_id, hive, wanted, say) for entry, hive in entries)
        for trouble in await asyncio.gather(*stops, return_exceptions=True):
            if trouble is not None:
                raise trouble
        for model_id in {entry.model_id for entry, _ in entries if entry.model_id is not None}:
            if not self._telemetry.find_workers_by_model(model_id):
                # A pin says that a model is to stay: who unloads it does not mean that any more.
                await self._residence.standings.forget(model_id)
        return Unloaded(model=wanted.model, stopped=tuple(sorted(entry.worker_id for entry, _ in entries)))

    async def _stop(self, worker_id: str, hive_id: str, wanted: Unload, say: Narrator) -> None:
        await self._departures.stop(
            hive_id, worker_id, say.relay, force=wanted.force, correlation_id=say.correlation_id
        )

    async def _meant(self, name: str, hive_id: str | None) -> list[tuple[WorkerEntry, str]]:
        """Workers of a model, or the one of that id, with their hives."""
        entry = self._telemetry.get_worker(name)
        if entry is not None:
            if hive_id not in {None, entry.hive_id}:
                raise ConflictError(f"Worker {name!r} is on hive {entry.hive_id!r}; leave --hive out.")
            entries = [entry]
        else:
            entries = [
                entry
                for model_id in await self._model_ids(name)
                for entry in self._telemetry.find_workers_by_model(model_id)
                if hive_id in {None, entry.hive_id}
            ]
        if not entries:
            raise ModelNotFoundError(f"No worker has loaded {name!r}; `rbee ps` lists workers.")
        ours = [(entry, entry.hive_id) for entry in entries if entry.hive_id is not None and may_be_stopped(entry)]
        if not ours:
            raise ConflictError(
                f"Worker {entries[0].worker_id!r} was not started by a hive: stop it where it was started."
            )
        return ours

    async def _model_ids(self, name: str) -> tuple[str, ...]:
        """Canonical names that a name means; itself where only a vendor could tell, and none does."""
        meant, _ = self._names.meant(name, trusted=True)
        found = self._names.present(meant, trusted=True)
        if found is None:
            try:
                found = await self._names.resolve(name, trusted=True)
            except (ModelNotFoundError, UnreachableError):
                return (meant,)
        return tuple(found.model_ids)


def _is_small(entry: WorkerEntry, context_length: int | None) -> bool:
    """Whether a worker has less context than is asked for, as far as it tells."""
    return None not in {context_length, entry.context_length} and (entry.context_length or 0) < (context_length or 0)


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
