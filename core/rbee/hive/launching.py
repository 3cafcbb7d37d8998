"""Starting the process of a worker: its port, its arguments, its environment, its tags."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from rbee.contract.devices import set_name, shares_text
from rbee.contract.types import LoadSpec
from rbee.contract.worker_args import WorkerArgs
from rbee.hive.certificates import VARIABLE, WorkerCertificates
from rbee.hive.children import Child, born, start_ticks, tags
from rbee.hive.spawn import Spawned, free_socket, spawn
from rbee.http.ports import port_of
from rbee.settings import Folders, Settings
from rbee.trust.spawned import SpawnTokens


class Launcher:
    """Starts processes; whoever asked looks after them.

    Args:
        settings: ports.
        folders: the tag of this hive.
        hive_id: told to the workers.
        environment: what workers inherit.
        certificates: of workers, where they listen beyond loopback.
        tokens: makes what a worker shows elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        hive_id: str,
        environment: Mapping[str, str],
        certificates: WorkerCertificates | None = None,
        tokens: SpawnTokens | None = None,
    ) -> None:
        self._tokens = SpawnTokens(None) if tokens is None else tokens
        self._settings = settings
        self._folders = folders
        self._hive_id = hive_id
        self._environment = environment
        self._certificates = certificates
        self.pythons: Mapping[str, str] = MappingProxyType({})
        """The interpreter of an engine that is not in rbee's own environment."""

    async def launch(
        self, worker_id: str, engine: str, spec: LoadSpec, log: Path, queen_url: str | None, registry_url: str | None
    ) -> tuple[Child, Spawned]:
        """Start a worker; it loads on its own.

        Args:
            worker_id: its tag.
            engine: name of the engine.
            spec: what to load, with its threads and memory.
            log: takes its output.
            queen_url: where it will beat.
            registry_url: where it will register.

        Raises:
            PortTakenError: no port is left.
            RbeeError: it gets no certificate.
            OSError: it could not be started.
        """
        identity = None if self._certificates is None else await self._certificates.make(worker_id)
        try:
            return await self._started(worker_id, engine, spec, log, queen_url, registry_url, identity)
        except BaseException:
            if self._certificates is not None:
                self._certificates.drop(worker_id)
            raise

    async def _started(
        self,
        worker_id: str,
        engine: str,
        spec: LoadSpec,
        log: Path,
        queen_url: str | None,
        registry_url: str | None,
        identity: Path | None,
    ) -> tuple[Child, Spawned]:
        settings, host = self._settings, self._settings.server.host
        sock = free_socket(host, settings.hive.worker_port_first, settings.hive.worker_port_last)
        port, device = port_of(sock), set_name(spec.device_ids)
        args = WorkerArgs(
            worker_id=worker_id,
            model=spec.model_id,
            engine=engine,
            device=device,
            backend=spec.backend,
            host=host,
            queen_url=queen_url,
            registry_url=registry_url,
            hive_id=self._hive_id,
            parent_pid=os.getpid(),
            model_path=spec.model_path,
            variant=msgspec.json.encode(spec.variant).decode(),
            threads=spec.threads,
            slots=spec.slots,
            context_length=spec.context_length,
            options=msgspec.json.encode(spec.options).decode() if spec.options else None,
            memory_bytes=spec.memory_bytes,
            device_memory=shares_text(spec.devices),
        )
        shares = (device, spec.memory_bytes, spec.devices)
        environment = {
            **self._environment,
            # Threads of an engine that wait must sleep: spinning, they starve the worker beside them.
            "OMP_WAIT_POLICY": "passive",
            "OMP_NUM_THREADS": str(max(1, spec.threads)),
            **({} if identity is None else {VARIABLE: str(identity)}),
            **self._tokens.environment(worker_id),
            **tags(self._folders.state, worker_id, port, spec.threads, spec.model_id, *shares),
        }
        spawned = await spawn(args, sock, environment, log, self.pythons.get(engine, sys.executable))
        pid = spawned.process.pid
        child = Child(
            worker_id=worker_id,
            pid=pid,
            created=born(pid),
            port=port,
            threads=spec.threads,
            model_id=spec.model_id,
            ticks=start_ticks(pid),
            device=device,
            memory_bytes=spec.memory_bytes,
            shares=spec.devices,
        )
        return child, spawned
