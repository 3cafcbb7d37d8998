"""A whole colony in parts for tests: its machines, its programs, and questions to them as a client asks them."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2

from rbee.contract.worker_args import WorkerArgs
from rbee.testing.programs import LOOPBACK, Machine, Program, ProgramKind
from rbee.testing.questions import Questions
from rbee.trust.authority import Authority
from rbee.trust.names import Role

_ASK_S = 60.0
_TOLD = 2000
_OWN_PORTS = MappingProxyType({"registry.port": "7830", "queen.port": "7833", "hive.port": "7835"})
"""Where a machine has its own address, the usual ports are free."""


class Site(Questions):
    """The machines and programs of one colony, its queen and registry on the first machine.

    Args:
        folder: for the homes.
        settings: of all programs.
        address: of the first machine.
        prefix: leads into its network.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        address: str = LOOPBACK,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(32)
        self.machines: dict[str, Machine] = {}
        self.programs: list[Program] = []
        self._settings = dict(settings or {})
        self._held: list[socket.socket] = []
        self._stopped_pids: set[int] = set()
        self._authority: Authority | None = None
        first = self.machine("first", address, prefix)
        self._http = httpx2.Client(
            headers={"authorization": f"Bearer {self.token}"}, timeout=_ASK_S, trust_env=False, verify=self.trusting()
        )
        self.registry = self.program("registry", first)
        self.queen = self.program("queen", first)

    @property
    def http(self) -> httpx2.Client:
        """A client with the token, for absolute addresses."""
        return self._http

    @property
    def queen_url(self) -> str:  # type: ignore[override]  # it is where she is now
        """The queen's address."""
        return self.queen.url

    def machine(
        self, name: str, address: str = LOOPBACK, prefix: Sequence[str] = (), *, joined: bool = True, **settings: str
    ) -> Machine:
        """Add a machine, which has joined the colony where it has a network of its own."""
        ports = _OWN_PORTS if address != LOOPBACK else {}
        folder = self.folder / name
        found = Machine(name, folder, self.token, {**ports, **self._settings, **settings}, address, prefix)
        self.machines[name] = found.prepare()
        if address != LOOPBACK:
            if self._authority is None:
                # On the first machine, where the queen finds it.
                self._authority = Authority(found.home / "config" / "ca")
                self._authority.open()
            elif joined:
                found.join(self._authority, Role.HIVE, name)
        return found

    def trusting(self) -> ssl.SSLContext | bool:
        """Trusts the colony's programs, each for any of them: they are asked by their addresses."""
        if self._authority is None:
            return False
        context = ssl.create_default_context(cadata=self._authority.roots_pem().decode("ascii"))
        context.check_hostname = False
        return context

    def program(self, kind: ProgramKind, machine: Machine, worker: WorkerArgs | None = None) -> Program:
        """Add a program, which is not started; it is told where the registry is, but for a worker."""
        own = None if worker is not None or machine.address == LOOPBACK else _OWN_PORTS.get(f"{kind}.port")
        found = Program(kind, machine, int(own) if own else self.free_port(machine.address), worker)
        self.programs.append(found)
        if worker is None and kind != "registry":
            machine.settings.setdefault("registry.url", self.registry.url)
        return found

    def hive(self, name: str, **settings: str) -> Program:
        """The hive of a machine on loopback, which is added; not started."""
        return self.program("hive", self.machine(name, LOOPBACK, (), joined=True, **settings))

    def worker_by_hand(
        self,
        worker_id: str,
        model: str,
        *,
        machine: Machine | None = None,
        registry_url: str | None = None,
        queen_url: str | None = None,
        model_path: str | None = None,
    ) -> Program:
        """A worker that a person or another program starts, without a hive; not started."""
        where = machine or self.machines["first"]
        port = self.free_port(where.address)
        args = WorkerArgs(
            worker_id=worker_id,
            model=model,
            host=where.address,
            port=port,
            registry_url=registry_url,
            queen_url=queen_url,
            model_path=model_path,
        )
        if self._authority is not None:
            where.join(self._authority, Role.WORKER, worker_id, where.folder / "identities" / worker_id)
        found = Program("worker", where, port, args)
        self.programs.append(found)
        return found

    def free_port(self, address: str = LOOPBACK) -> int:
        """A port that nobody else gets until the end, whether a program listens there at the moment or not."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._held.append(held)
        # Who does not listen excludes nobody who says the same; the system itself gives the port to nobody.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])

    def components(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the registry lists, by kind and id."""
        answer = self.http.get(f"{self.registry.url}/v1/registry/components").raise_for_status()
        return {(one["component_type"], one["component_id"]): one for one in answer.json()["components"]}

    def hives(self) -> dict[str, dict[str, Any]]:
        """Hives as the queen lists them, by id."""
        answer = self.http.get(f"{self.queen_url}/v1/info").raise_for_status()
        return {one["hive_id"]: one for one in answer.json()["hives"]}

    def freeze(self, pid: int) -> None:
        """Stop any process from doing anything; it goes on by `thaw`, at the end at the latest."""
        os.kill(pid, signal.SIGSTOP)
        self._stopped_pids.add(pid)

    def thaw(self, pid: int) -> None:
        """Let it go on."""
        self._stopped_pids.discard(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def said(self) -> str:
        """What every program has written to stderr, and the end of every log."""
        parts = [f"--- {program.name}\n{program.said()}" for program in self.programs if program.was_started]
        parts += [
            f"--- {machine.name}: {path.name}\n{path.read_text('utf-8', 'replace')[-_TOLD:]}"
            for machine in self.machines.values()
            for path in sorted(machine.home.glob("state/logs/*.log"))
        ]
        return "\n".join(parts)

    def clean_up(self) -> None:
        """Stop all programs, and see that nothing is left.

        Raises:
            AssertionError: something does not stop, or is left.
        """
        complaints: list[str] = []

        def note(work: Callable[[], None]) -> None:
            try:
                work()
            except AssertionError as error:
                complaints.append(str(error))

        for pid in list(self._stopped_pids):
            self.thaw(pid)
        for program in self.programs:
            if program.kind == "hive" and program.was_started and not program.runs:
                program.machine.end_workers()
            program.tell_stop()
        for program in self.programs:
            note(program.await_end)
        for machine in self.machines.values():
            note(machine.clean_up)
        for held in self._held:
            held.close()
        self._http.close()
        assert not complaints, "; ".join(complaints)
