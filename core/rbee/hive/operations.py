"""What a hive can be asked to do: the handlers of its jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rbee.catalog import CatalogEntry, ModelCatalog, Resolver
from rbee.contract.devices import find_device
from rbee.contract.errors import EngineUnavailableError, InvalidRequestError, UnavailableError
from rbee.contract.types import Backend, EngineInfo, LoadSpec, ModelVariant
from rbee.contract.wire import Registration
from rbee.hive.supervisor import Supervisor, address
from rbee.jobs import JobHandler, Narrator
from rbee.plugins import install_hint
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.reporter import Reporter
    from rbee.hive.service import HiveService

_ACTOR = "hive"
_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class _SpawnBody(msgspec.Struct, kw_only=True):
    """Fields of ``worker_spawn``; see the wire reference."""

    model: str
    worker: str | None = None
    worker_id: str | None = None
    device: str | int | None = None
    slots: int | None = None
    context_length: int | None = None


class _ModelBody(msgspec.Struct, kw_only=True):
    model: str


class _WorkerBody(msgspec.Struct, kw_only=True):
    worker_id: str | None = None
    id: str | None = None
    force: bool = False


class Operations:
    """Handlers by name; each takes the job's body and a narrator and returns its result."""

    def __init__(
        self,
        hive: HiveService,
        catalog: ModelCatalog,
        resolver: Resolver,
        supervisor: Supervisor,
        reporter: Reporter,
        settings: Settings,
    ) -> None:
        self._hive = hive
        self._catalog = catalog
        self._resolver = resolver
        self._supervisor = supervisor
        self._reporter = reporter
        self._settings = settings

    def handlers(self) -> Mapping[str, JobHandler]:
        """Every operation of the hive."""
        return {
            "model_download": self.model_download,
            "worker_spawn": self.worker_spawn,
            "worker_process_delete": self.worker_process_delete,
        }

    async def model_download(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Bring a model to this machine."""
        wanted = _parse(body, _ModelBody)
        variant = await self._choose(wanted.model)
        entry = await self._bring(variant, say)
        return {"model_id": variant.model_id, "path": entry.path, "size_bytes": variant.size_bytes}

    async def worker_spawn(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Start a worker for a model and wait until it serves."""
        wanted = _parse(body, _SpawnBody)
        # Before anything is fetched: who asks for the impossible shall not wait for gigabytes to hear it.
        worker_id = _checked_id(wanted.worker_id)
        slots = _bounded("slots", wanted.slots, 1024) or self._settings.worker.slots
        context_length = (
            _bounded("context_length", wanted.context_length, 16_777_216) or self._settings.worker.context_length
        )
        variant = await self._choose(wanted.model)
        device, backend = self._device(wanted.device)
        engine = self._engine(variant, wanted.worker, backend)
        entry = await self._bring(variant, say)
        say.say(_ACTOR, "worker_spawn", f"Starting {engine.name} for {variant.name} on {device}", variant.model_id)
        spec = LoadSpec(
            model_id=variant.model_id,
            model_path=entry.path,
            variant=variant,
            device=device,
            backend=backend,
            slots=slots,
            context_length=context_length,
        )
        child = await self._supervisor.ensure_ready(
            engine.name,
            spec,
            worker_id,
            lambda stage: say.say("worker", "load", stage[:1].upper() + stage[1:], variant.model_id),
        )
        url = address(self._settings, child)
        await self._reporter.worker_ready(
            Registration(
                worker_id=child.worker_id,
                url=url,
                model=variant.model_id,
                spawned_by=f"hive-{self._hive.hive_id}",
                hive_id=self._hive.hive_id,
                device=device,
                backend=backend,
                state="ready",
                pid=child.pid,
            )
        )
        # Measured before the job ends: who asked sees the new worker and the threads it took.
        await self._hive.measure()
        say.say(
            "worker",
            "ready",
            f"{variant.name} is loaded ({child.threads} thread{'' if child.threads == 1 else 's'})",
            child.worker_id,
        )
        return {"worker_id": child.worker_id, "url": url, "pid": child.pid, "threads": child.threads}

    async def worker_process_delete(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Stop a worker: drained, or at once with ``force``."""
        wanted = _parse(body, _WorkerBody)
        worker_id = _checked_id(wanted.worker_id or wanted.id)
        if worker_id is None:
            raise InvalidRequestError("'worker_id' is missing.", param="worker_id")
        child = self._supervisor.get(worker_id)
        say.say(_ACTOR, "worker_stop", f"Stopping worker {worker_id}", worker_id)
        await self._supervisor.stop(worker_id, at_once=wanted.force)
        await self._hive.measure()
        return {"worker_id": worker_id, "pid": child.pid}

    async def _choose(self, ref: str) -> ModelVariant:
        """The best variant that some engine here opens, else the best."""
        variants = await self._resolver.resolve(ref)
        for variant in variants:
            if any(engine.available and variant.format in engine.formats for engine in self._engines()):
                return variant
        return variants[0]

    async def _bring(self, variant: ModelVariant, say: Narrator) -> CatalogEntry:
        present = await self._catalog.find(variant.model_id)
        if present is not None and present.variant == variant:
            return present
        fetched = variant.files and variant.in_place is None
        if fetched:
            size = f" ({variant.size_bytes / 1e6:.1f} MB)" if variant.size_bytes else ""
            say.say(_ACTOR, "model_download", f"Fetching {variant.name}{size} from {variant.vendor}", variant.model_id)
        entry = await self._catalog.ensure(variant, lambda done, total: say.progress("model_download", done, total))
        if fetched:
            say.say(_ACTOR, "model_verified", f"{variant.name} is here and verified", variant.model_id)
        return entry

    def _engines(self) -> Sequence[EngineInfo]:
        return self._hive.capabilities().engines

    def _device(self, wanted: str | int | None) -> tuple[str, str]:
        devices = self._hive.capabilities().capabilities
        if wanted is None or wanted == "":
            if not devices:
                raise UnavailableError("No device of this machine is known; the hive's log says why.")
            return devices[0].id, devices[0].backend
        device = find_device(devices, str(wanted))
        if device is not None:
            return device.id, device.backend
        names = ", ".join(device.id for device in devices) or "none"
        raise InvalidRequestError(f"There is no device {wanted!r} here. Devices: {names}.", param="device")

    def _engine(self, variant: ModelVariant, wanted: str | None, backend: str) -> EngineInfo:
        """The engine for a variant: by its name, by a backend's name, or the first that will do.

        Raises:
            InvalidRequestError: no such engine.
            EngineUnavailableError: none can run it here.
        """
        named = [engine for engine in self._engines() if engine.name == wanted]
        by_backend = wanted in {*Backend, *(word for engine in self._engines() for word in engine.backends)}
        if wanted and not named and not by_backend:
            names = ", ".join(engine.name for engine in self._engines()) or "none"
            raise InvalidRequestError(f"There is no engine {wanted!r} here. Engines: {names}.", param="worker")
        pool = named or list(self._engines())
        opening = [engine for engine in pool if variant.format in engine.formats]
        fitting = [engine for engine in opening if backend in engine.backends]
        for engine in fitting:
            if engine.available:
                return engine
        reasons = "; ".join(engine.reason for engine in fitting if engine.reason)
        hint = install_hint(variant.format)
        raise EngineUnavailableError(
            reasons
            or f"No engine here opens the format {variant.format!r} of {variant.name!r} on {backend}."
            + (f" Install one: {hint}" if hint else "")
        )


def _parse(body: dict[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"Operation {body.get('operation')!r}: {error}.") from error


def _checked_id(worker_id: str | None) -> str | None:
    """The id, which becomes a file's name and an argument; None when none was given."""
    if not worker_id:
        return None
    if not _WORKER_ID.fullmatch(worker_id):
        raise InvalidRequestError(
            "'worker_id' must begin with a letter or digit and have at most 128 letters, digits, dots, dashes and "
            f"underscores; {worker_id[:200]!r} does not.",
            param="worker_id",
        )
    return worker_id


def _bounded(name: str, value: int | None, most: int) -> int | None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequestError(f"{name!r} must be between 1 and {most}, not {value}.", param=name)
    return value
