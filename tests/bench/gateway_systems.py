"""What `gateway.py` measures beside rbee: nothing in between, the floor, and the peers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from gateway_peers import Environments, Peer
from gateway_tools import LOOPBACK, MODEL, TOKENS, Cores, NoStartError, Target, free_port, last_line

_START_S = 60.0
_STOP_S = 10.0
_ASK_S = 10.0


class System(ABC):
    """Something that is measured.

    Args:
        name: in the table.
        rust: whether rbee is held against it.
    """

    def __init__(self, name: str, *, rust: bool = False) -> None:
        self.name = name
        self.rust = rust
        self.version: str | None = None

    @abstractmethod
    def running(self, worker: int, cores: Cores) -> AbstractContextManager[Target]:
        """Start it in front of the worker at that port, and stop it afterwards.

        Raises:
            NoStartError: it does not start, or answers wrongly.
        """


class Direct(System):
    """The worker itself."""

    def __init__(self) -> None:
        super().__init__("direct")

    @contextlib.contextmanager
    def running(self, worker: int, cores: Cores) -> Iterator[Target]:
        """Nothing to start."""
        target = Target(port=worker)
        await_answers(target, lambda: None)
        yield target


class Floor(System):
    """The relay that does nothing else."""

    def __init__(self) -> None:
        super().__init__("floor")

    @contextlib.contextmanager
    def running(self, worker: int, cores: Cores) -> Iterator[Target]:
        """Start the prototype."""
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("gateway_floor.py")), str(port), str(worker)]
        with (
            tempfile.TemporaryDirectory(prefix="rbee-bench-") as folder,
            started(command, {}, cores, Path(folder), port) as target,
        ):
            yield target


class Other(System):
    """A peer in one of its configurations.

    Args:
        peer: which one.
        variant: which configuration.
        environments: where it is installed.
    """

    def __init__(self, peer: Peer, variant: str, environments: Environments) -> None:
        super().__init__(f"{peer.name} {variant}".strip(), rust=peer.rust)
        self._peer = peer
        self._arguments = peer.variants[variant]
        self._environments = environments

    @contextlib.contextmanager
    def running(self, worker: int, cores: Cores) -> Iterator[Target]:
        """Start its program, which is installed first where it has to be."""
        programs, self.version = self._environments.install(self._peer)
        port = free_port()
        header = "" if self._peer.key is None else f"Authorization: Bearer {self._peer.key}"
        with tempfile.TemporaryDirectory(prefix="rbee-bench-") as name:
            command = [*self._peer.command(programs, port, worker, Path(name)), *self._arguments]
            with started(command, self._peer.environment, cores, Path(name), port, header) as target:
                yield target


@contextlib.contextmanager
def launched(
    command: list[str], environment: Mapping[str, str], cores: Cores, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a system on its cores with its words in files of that folder, and end it and what it has started."""
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err, cores.for_system():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def started(
    command: list[str], environment: Mapping[str, str], cores: Cores, folder: Path, port: int, header: str = ""
) -> Iterator[Target]:
    """Start a program that needs no more than its command line, and wait until it answers rightly."""
    with launched(command, {**os.environ, **environment}, cores, folder) as process, telling(folder, process):
        target = Target(port=port, pid=process.pid, header=header)
        await_answers(target, process.poll)
        yield target


@contextlib.contextmanager
def telling(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Put the last words of the program behind the reason why it does not start."""
    try:
        yield
    except (NoStartError, OSError) as error:
        said = "".join((folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
        ended = "" if process.poll() is None else f"; it ended with {process.returncode}"
        raise NoStartError(f"{error}{ended}; its last words: {last_line(said) or 'none'}") from error


def await_answers(target: Target, ended: Callable[[], int | None]) -> None:
    """Return once a plain answer comes through unharmed.

    Args:
        target: which system.
        ended: gives its exit code, or None while it lives.

    Raises:
        NoStartError: none does; the message has the last one.
    """
    deadline, seen = time.monotonic() + _START_S, "nobody answered"
    while time.monotonic() < deadline and ended() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, text = ask(target, "/v1/chat/completions", _question(stream=False))
            if status == 200 and '"hello from the mill"' in text:
                return
            seen = f"{status} {last_line(text)}"
        time.sleep(0.1)
    raise NoStartError(f"no right answer: {seen}")


def check_stream(target: Target) -> None:
    """See that a streamed answer comes through unharmed.

    Raises:
        NoStartError: it does not.
    """
    status, text = ask(target, "/v1/chat/completions", _question(stream=True))
    if status != 200:
        raise NoStartError(f"no stream: {status} {last_line(text)}")
    count = sum(f'"tok{number} "' in text for number in range(TOKENS))
    if count < TOKENS or "data: [DONE]" not in text:
        raise NoStartError(f"no right stream: {count} of {TOKENS} tokens, the last line is {last_line(text)!r}")


def _question(*, stream: bool) -> dict[str, object]:
    messages = [{"role": "user", "content": "Hello"}]
    return {"model": MODEL, "messages": messages, "max_tokens": TOKENS, "stream": stream}


def ask(target: Target, path: str, body: Mapping[str, object]) -> tuple[int, str]:
    """Post JSON; gives the status and the text of the answer."""
    connection = http.client.HTTPConnection(LOOPBACK, target.port, timeout=_ASK_S)
    name, _, value = target.header.partition(": ")
    headers = {"content-type": "application/json", **({name: value} if name else {})}
    try:
        connection.request("POST", path, msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
