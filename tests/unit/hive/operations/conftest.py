"""A hive's operations over the real catalogue, with children that are made of memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
from rbee.catalog import ModelCatalog, Resolver, WorkerCatalog
from rbee.clients import Credentials
from rbee.contract.errors import NotFoundError
from rbee.contract.types import Device, DeviceType, EngineInfo, WorkerState
from rbee.contract.wire import JobEvent
from rbee.hive.children import Child
from rbee.hive.draining import Draining
from rbee.hive.operations import Operations
from rbee.jobs import Narrator
from rbee.settings import Folders, Settings

NOBODY = 2**31 - 1
"""The id of a process that cannot be."""


class Children:
    """Stands where the supervisor stands: starts nothing, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.all: dict[str, Child] = {}
        self.told: dict[str, WorkerState] = {}
        self.started: list[tuple[str, str]] = []
        self.specs: list[Any] = []
        self.stopped: list[tuple[str, bool]] = []
        self.logs = SimpleNamespace(path=lambda worker_id: folder / f"{worker_id}.log")

    def put(self, worker_id: str, model_id: str, pid: int = NOBODY) -> Child:
        child = Child(worker_id=worker_id, pid=pid, created=1000.0, port=8080, threads=2, model_id=model_id)
        self.all[worker_id] = child
        self.told[worker_id] = WorkerState.READY
        return child

    def children(self) -> list[Child]:
        return list(self.all.values())

    def states(self) -> dict[str, WorkerState]:
        return dict(self.told)

    def get(self, worker_id: str) -> Child:
        if worker_id not in self.all:
            raise NotFoundError(f"no {worker_id!r}")
        return self.all[worker_id]

    async def ensure_ready(self, engine: str, spec: Any, worker_id: str | None, on_stage: Any) -> Child:
        if worker_id in self.all:
            return self.all[worker_id]
        self.started.append((engine, spec.model_id))
        self.specs.append(spec)
        name = worker_id or "worker-new"
        child = msgspec.structs.replace(self.put(name, spec.model_id), memory_bytes=spec.memory_bytes)
        self.all[name] = child
        return child

    async def stop(self, worker_id: str, *, at_once: bool = False) -> None:
        self.stopped.append((worker_id, at_once))
        self.all.pop(worker_id, None)


class Hive:
    """A hive's operations, called as its jobs call them."""

    def __init__(self, folder: Path, catalog: ModelCatalog, resolver: Resolver, vendors: list[Any]) -> None:
        self.catalog = catalog
        self.children = Children(folder)
        self.events: list[JobEvent] = []
        self.looked = 0
        self.hive = hive = Mock(hive_id="h", measure=AsyncMock(), look_for_engines=self._look, last_beat=None)
        hive.draining = self.draining = Draining("h", dict, Credentials())
        self.found = hive.capabilities.return_value
        self.found.capabilities = (Device(id="CPU-0", name="cpu", device_type=DeviceType.CPU),)
        self.found.engines = (
            EngineInfo(name="mill", version="1", formats=("blob",), backends=("cpu",), capabilities=(), available=True),
        )
        hive.info.return_value = Mock(threads_free=1, threads_total=2)
        hive.budgets.shared.return_value = None
        self.folders = Folders(config=folder / "c", home=folder, data=folder / "d", state=folder / "s")
        self.plugins = Mock()
        self.plugins.registrations.probes.things.return_value = []
        reporter = Mock(worker_ready=AsyncMock())
        self.operations = Operations(
            hive,
            catalog,
            WorkerCatalog(vendors),
            resolver,
            self.children,  # type: ignore[arg-type]  # as much of it as is asked here
            reporter,
            Settings(),
            self.folders,
            self.plugins,
            Mock(),
        ).operations()

    async def _look(self) -> None:
        self.looked += 1

    async def do(self, operation: str, **fields: Any) -> Any:
        say = Narrator("job-1", None, self.events.append)
        return await self.operations[operation].handler({"operation": operation, **fields}, say)

    @property
    def said(self) -> list[str | None]:
        return [event.human for event in self.events if event.type == "narration"]


@pytest.fixture
def vendors() -> list[Any]:
    """Worker vendors of the hive; a test may put some."""
    return []


@pytest.fixture
async def hive(tmp_path: Path, shelf: Any, vendors: list[Any]) -> AsyncIterator[Hive]:
    resolver = Resolver([shelf])
    models = tmp_path / "d" / "models"
    models.mkdir(parents=True)
    catalog = ModelCatalog(models, resolver)
    await catalog.open()
    yield Hive(tmp_path, catalog, resolver, vendors)
    await catalog.close()
