"""Colonies in parts for tests: registry, queen, hives and workers, each a process of its own, on one or more machines.

A `Machine` is a home with the colony's token; where a network is given, it has addresses and ports of its own.  A
`Program` is one process there, which can be stopped, killed, frozen and started again where it was.  A
`rbee.testing.site.Site` keeps all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

import httpx2
import psutil

from rbee.contract.worker_args import WorkerArgs
from rbee.hive.children import TAG_ID
from rbee.http.ports import url_of
from rbee.settings.load import variable_of
from rbee.testing.colony import Command, Home, eventually
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role

ProgramKind = Literal["registry", "queen", "hive", "worker"]

_START_S = 60.0
_STOP_S = 40.0
_ANSWER_S = 5.0
_POLL_S = 0.05
_CERTIFICATE = timedelta(hours=24)
LOOPBACK = "127.0.0.1"


class Machine(Home):
    """One machine of a site.

    Args:
        name: of the machine, and of its hive.
        folder: becomes RBEE_HOME.
        token: the colony's.
        settings: of every command and worker there.
        address: where its programs listen.
        prefix: begins every command line; what leads into the machine's network.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        token: str,
        settings: Mapping[str, str],
        address: str = LOOPBACK,
        prefix: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, {"hive.id": name, "hive.threads": "2", "server.host": address, **settings})
        self.name = name
        self.address = address
        self.ended_workers: list[str] = []
        """Workers of a hive that did not come back, ended by the cleaning up."""
        self._prefix = tuple(prefix)
        self._token = token

    def prepare(self) -> Self:
        """Bring the colony's token, as a person does for a second machine."""
        self.token_file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        with os.fdopen(os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self._token + "\n")
        return self

    def join(self, authority: Authority, role: Role, subject: str, folder: Path | None = None) -> Path:
        """Give a program of this machine its certificate, as joining the colony does.

        Args:
            authority: the colony's.
            role: what the program is.
            subject: its id.
            folder: of its files; None for that of the machine's hive.

        Returns:
            The folder.
        """
        found = Identity(folder or self.home / "config" / "identity")
        key, request = found.ask()
        found.take(key, authority.issue(request, role, subject, (), _CERTIFICATE).certificate, authority.roots_pem())
        return found.folder

    def argv(self, *args: str) -> list[str]:
        """The command line of `rbee`, on this machine."""
        return [*self._prefix, *super().argv(*args)]

    def worker_command(self, args: WorkerArgs) -> Command:
        """Start a worker as a person or another program does, without a hive."""
        environment = {variable_of(name): value for name, value in self.settings.items()}
        identity = self.folder / "identities" / args.worker_id
        if identity.is_dir():
            environment["RBEE_IDENTITY"] = str(identity)
        return Command(self, [*self._prefix, sys.executable, "-m", "rbee.worker", *args.to_argv()], environment)

    def end_workers(self) -> None:
        """End the workers of a hive that was killed for good: nobody else would."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if TAG_ID in process.environ():
                    self.ended_workers.append(f"{process.pid}")
                    process.kill()


class Program:
    """One program as a process of its own.

    Args:
        kind: which one.
        machine: where.
        port: where it listens, each time it is started.
        worker: what a worker is to do; None for another program.
    """

    def __init__(self, kind: ProgramKind, machine: Machine, port: int, worker: WorkerArgs | None = None) -> None:
        self.kind = kind
        self.machine = machine
        self.port = port
        self.worker = worker
        self._commands: list[Command] = []
        self._frozen = False

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.kind} of {self.machine.name}" if self.worker is None else f"worker {self.worker.worker_id}"

    @property
    def url(self) -> str:
        """Its address."""
        return url_of(self.machine.address, self.port)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._commands[-1].process.pid

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return bool(self._commands) and self._commands[-1].process.poll() is None

    @property
    def was_started(self) -> bool:
        """Whether it has ever run."""
        return bool(self._commands)

    def start(self) -> Self:
        """Start it and return once it answers.

        Raises:
            AssertionError: it did not come up; the message has what it said.
        """
        return self.launch().await_ready()

    def launch(self) -> Self:
        """Start it and go on."""
        assert not self.runs, f"{self.name} runs already"
        if self.worker is not None:
            self._commands.append(self.machine.worker_command(self.worker))
        else:
            # Started again, it is found where it was, as with the ports that people have.
            self.machine.settings[f"{self.kind}.port"] = str(self.port)
            self._commands.append(self.machine.start(self.kind, "start", "--json"))
        return self

    def await_ready(self) -> Self:
        """Return once it answers.

        Raises:
            AssertionError: it did not come up.
        """
        command = self._commands[-1]

        def ended_or_up() -> bool:
            return command.process.poll() is not None or self._is_up(command)

        eventually(ended_or_up, _START_S, every=_POLL_S)
        assert command.process.poll() is None, f"{self.name} did not come up: {self.said()}"
        return self

    def _is_up(self, command: Command) -> bool:
        if self.worker is None:
            line, newline, _ = command.stdout.partition("\n")
            if newline:
                assert json.loads(line)["public_url"] == self.url
            return bool(newline)
        try:
            # Whether it answers is asked, and nothing told: whoever it may be.
            answer = httpx2.get(f"{self.url}/ready", timeout=_ANSWER_S, trust_env=False, verify=False)
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200

    def kill9(self) -> None:
        """Kill it, and nothing else, without warning."""
        process = self._commands[-1].process
        process.kill()
        process.wait()
        self._frozen = False

    def freeze(self) -> None:
        """Stop it from doing anything; connections stay."""
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)
        self._frozen = False

    def tell_stop(self) -> None:
        """Ask it to stop, and go on; harmless when it does not run."""
        if self.runs:
            if self._frozen:
                self.thaw()
            self._commands[-1].process.terminate()

    def stop(self) -> None:
        """Stop it in order.

        Raises:
            AssertionError: it does not stop; it has been killed.
        """
        self.tell_stop()
        self.await_end()

    def await_end(self) -> None:
        """Return once it has ended after `tell_stop`.

        Raises:
            AssertionError: it does not end; it has been killed.
        """
        if not self._commands:
            return
        process = self._commands[-1].process
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} did not stop within {_STOP_S:.0f} s: {self.said()}") from None

    def said(self) -> str:
        """What it has written to stderr, in all its lives."""
        return "".join(command.stderr for command in self._commands)
