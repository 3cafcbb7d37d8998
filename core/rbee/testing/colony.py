"""Real colonies for tests: `rbee up` in a process of its own, with all its files in one folder.

Nothing here looks into the programs.  A `Home` runs commands as a person at a shell does, and a `Colony` is asked over
HTTP as any client asks it.  Both end by counting the processes that carry the home's mark: a test that leaves one
behind fails.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

import httpx2
import psutil

from rbee.testing.questions import Questions

T = TypeVar("T")

_START_S = 60.0
_STOP_S = 40.0
_COMMAND_S = 120.0
_POLL_S = 0.02
_SETTINGS = MappingProxyType({"registry.port": "0", "queen.port": "0", "hive.port": "0", "hive.threads": "4"})


def eventually(check: Callable[[], T], within: float = 10.0, *, every: float = _POLL_S) -> T:
    """The first truthy result of `check`, which is asked again and again where no event can be awaited.

    Args:
        check: an AssertionError of it counts as not yet.
        within: seconds.
        every: seconds between two tries.

    Raises:
        AssertionError: the time is up.
    """
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        found: T | None = None
        try:
            found = check()
        except AssertionError as error:
            failure = error
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s; the last answer was {failure or repr(found)}")
        time.sleep(every)


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:12])
    except psutil.Error:
        # It has ended since it was listed.
        return "(ended)"


def heeding_interrupts() -> Callable[[], None] | None:
    """For `subprocess.Popen(preexec_fn=...)`: lets a child be interrupted also where its starter cannot be.

    A shell makes jobs in its background ignore Ctrl+C, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        return None
    return _heed_interrupts


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """A command under way, in a process group of its own, with its output in files.

    Args:
        home: where it runs.
        argv: the whole command line.
        environment: beyond the home's.
    """

    def __init__(self, home: Home, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        number = len(list(home.folder.glob("*.out")))
        self._out, self._err = (home.folder / f"command-{number}.{name}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**home.environment, **(environment or {})},
                cwd=home.folder,
                start_new_session=True,
                preexec_fn=heeding_interrupts(),  # noqa: PLW1509  # it takes no lock
            )

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._err.read_text(encoding="utf-8")

    def interrupt(self) -> None:
        """What Ctrl+C does: SIGINT to the process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, within: float = _STOP_S) -> int:
        """Its exit code."""
        return self.process.wait(within)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Home:
    """A folder for one colony, and the commands of a person who works there.

    Args:
        folder: becomes RBEE_HOME; need not exist.
        settings: given to every command by ``--set``, over ports that are free and a share of threads.
        environment: further variables.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.settings = {**_SETTINGS, **(settings or {})}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RBEE_", "COV_"))}
        # Nothing of a test asks a hub on the internet, whichever plugins are installed.
        quiet = {"NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
        self.environment = {**inherited, **quiet, **(environment or {}), "RBEE_HOME": str(folder / "home")}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def home(self) -> Path:
        """RBEE_HOME."""
        return self.folder / "home"

    @property
    def token_file(self) -> Path:
        """Where the token is."""
        return self.home / "config" / "token"

    @property
    def token(self) -> str:
        """The colony's."""
        return self.token_file.read_text(encoding="ascii").strip()

    def argv(self, *args: str) -> list[str]:
        """The command line of `rbee` with these arguments."""
        flags = [part for name, value in self.settings.items() for part in ("--set", f"{name}={value}")]
        return [sys.executable, "-m", "rbee", *flags, *args]

    def cli(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `rbee` to its end."""
        return subprocess.run(
            self.argv(*args),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=_COMMAND_S,
            check=False,
            preexec_fn=heeding_interrupts(),
        )

    def start(self, *args: str) -> Command:
        """Start `rbee` and go on; use it as a context manager."""
        return Command(self, self.argv(*args))

    def processes(self) -> list[psutil.Process]:
        """Living processes that carry the home's mark: colony, workers, commands, whatever they have started."""
        root = str(self.home.resolve())
        found = []
        for process in psutil.process_iter():
            try:
                marks = process.environ()
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
            except (psutil.Error, OSError):
                continue
            same = marks.get("RBEE_HOME") == self.environment["RBEE_HOME"]
            if same or marks.get("RBEE_HIVE_ROOT", "").startswith(root + os.sep):
                found.append(process)
        return found

    def nothing_left(self, within: float = 0.0) -> bool:
        """Check that no process of the home lives.

        Raises:
            AssertionError: naming those that do.
        """

        def none() -> bool:
            left = [f"{process.pid} {_command_of(process)}" for process in self.processes()]
            assert not left, f"left running: {left}"
            return True

        return eventually(none, within)

    def clean_up(self) -> None:
        """End whatever is left, in any state of the test.

        Raises:
            AssertionError: something had been left.
        """
        left = self.processes()
        told = []
        for process in left:
            try:
                told.append(" ".join(process.cmdline()))
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(left, timeout=10)
        assert not told, f"the test left processes running: {told}"


class Colony(Home, Questions):
    """A running `rbee up`; `start_up` starts it, `stop` ends it in order, `kill9` does not."""

    pid: int
    registry_url: str
    hive_url: str
    openai_base_url: str

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, settings, environment)
        self.process: subprocess.Popen[bytes] | None = None
        self._http: httpx2.Client | None = None

    def start_up(self) -> Self:
        """Start it and return once it has told where it listens.

        Raises:
            AssertionError: it did not come up; the message has what it said.
        """
        with (self.folder / "up.err").open("ab") as err:
            self.process = subprocess.Popen(
                self.argv("up", "--json"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=heeding_interrupts(),  # noqa: PLW1509  # it takes no lock
            )
        facts = json.loads(self._first_line())
        self.pid, self.queen_url, self.hive_url = facts["pid"], facts["queen_url"], facts["hive_url"]
        self.registry_url, self.openai_base_url = facts["registry_url"], facts["openai_base_url"]
        for name in ("registry", "queen", "hive"):
            # Started again, it is found where it was, as with the ports that people have.
            self.settings[f"{name}.port"] = facts[f"{name}_url"].rpartition(":")[2]
        self._http = httpx2.Client(
            headers={"authorization": f"Bearer {self.token}"}, timeout=_COMMAND_S, trust_env=False
        )
        return self

    def _first_line(self) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        fd, line, deadline = self.process.stdout.fileno(), b"", time.monotonic() + _START_S
        while not line.endswith(b"\n"):
            ready = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]
            part = os.read(fd, 65536) if ready else b""
            assert part, f"the colony did not come up: {self.said()}"
            line += part
        return line

    def said(self) -> str:
        """What it has written to stderr."""
        return (self.folder / "up.err").read_text(encoding="utf-8")

    @property
    def http(self) -> httpx2.Client:
        """A client with the token, for absolute addresses."""
        assert self._http is not None, "the colony is not up"
        return self._http

    def kill9(self) -> None:
        """Kill the colony's process, and nothing else, without warning."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process group as a terminal does, and wait for the end; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self._ended()

    def _ended(self) -> int:
        assert self.process is not None
        if self._http is not None:
            self._http.close()
            self._http = None
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def clean_up(self) -> None:
        """Stop it if it still runs, and see that nothing is left.

        Raises:
            AssertionError: something is left.
        """
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
            elif self.process is not None:
                self._ended()
        finally:
            super().clean_up()
