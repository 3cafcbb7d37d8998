"""The tools of `gateway.py`: a worker that costs nothing, the load on a system, and what that system takes meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MODEL = "mill"
TOKENS = 64
LOOPBACK = "127.0.0.1"

_TOOLS = ("tokenmill", "tokenload")
_START_S = 10.0
_PATIENCE_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The benchmark cannot go on; the message is one line for the person who runs it."""


class NoStartError(Exception):
    """A system could not be installed, did not start, or did not answer; the message has its last words."""


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Where the system under test runs, and where everything else does."""

    system: frozenset[int]
    tools: frozenset[int]

    @classmethod
    def apart(cls) -> Cores:
        """A core for each.

        Raises:
            BenchError: there are no two cores.
        """
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise BenchError("this process may use one core only; the system and the tools need one each")
        return cls(system=frozenset(usable[:1]), tools=frozenset(usable[1:2]))

    @classmethod
    def shared(cls) -> Cores:
        """All cores for all."""
        usable = frozenset(os.sched_getaffinity(0))
        return cls(system=usable, tools=usable)

    @contextlib.contextmanager
    def for_system(self) -> Iterator[None]:
        """What is started meanwhile runs on the system's cores, with all that it starts."""
        os.sched_setaffinity(0, self.system)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self.tools)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that answers.

    Args:
        port: on loopback.
        pid: of its first process; None where nothing is between the tools.
        header: for its authentication; empty for none.
    """

    port: int
    pid: int | None = None
    header: str = ""

    def processes(self) -> list[psutil.Process]:
        """All its processes."""
        if self.pid is None:
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def cpu_s(self) -> float | None:
        """Processor seconds, user and system, of all its processes until now; None where there is no process."""
        found = [ticks for one in self.processes() if (ticks := _ticks(one.pid)) is not None]
        return sum(found) / _TICKS_PER_S if found else None

    def memory_bytes(self) -> int | None:
        """Resident memory, what processes share counted once (PSS); None where there is no process."""
        found = [size for one in self.processes() if (size := _pss_bytes(one.pid)) is not None]
        return sum(found) if found else None


def _ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def _pss_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What clients saw in one run, and what the system took for it.

    Args:
        wrong: why the figures do not count; None where they do.
        answers: whole ones.
        requests_per_s: whole answers.
        tokens_per_s: of whole answers.
        first_token_us: median.
        gap_us: 99th percentile between two tokens of a stream.
        cpu_us_per_token: of the system; None where there is no process, or no token.
        memory_bytes: of the system while the streams ran; None where it was not looked at.
    """

    wrong: str | None
    answers: int
    requests_per_s: float
    tokens_per_s: float
    first_token_us: float
    gap_us: float
    cpu_us_per_token: float | None
    memory_bytes: int | None


class Tools:
    """The built tools.

    Args:
        source: folder of their C files.
        folder: for the programs.

    Raises:
        BenchError: a file or a compiler is missing, or it does not compile.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
        if compiler is None:
            raise BenchError("no C compiler (cc, gcc, clang) on PATH; install one to build the load tools")
        for name in _TOOLS:
            file = source / f"{name}.c"
            if not file.is_file():
                raise BenchError(f"{file} is missing; tell the folder of {' and '.join(_TOOLS)} with --tools DIR")
            built = subprocess.run(
                [compiler, "-O2", "-o", str(folder / name), str(file)], capture_output=True, text=True, check=False
            )
            if built.returncode:
                raise BenchError(f"{file} does not compile: {last_line(built.stderr)}")
        self._folder = folder

    @contextlib.contextmanager
    def mill(self, tokens: int = TOKENS, gap_us: int = 0) -> Iterator[int]:
        """A worker which streams so many tokens, with that pause between two of them; gives its port."""
        port = free_port()
        command = [str(self._folder / "tokenmill"), "--port", str(port), "--tokens", str(tokens)]
        command += ["--gap-us", str(gap_us), "--model", MODEL]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            try:
                await_listening(port)
                yield port
            finally:
                running.kill()

    def load(
        self, target: Target, concurrency: int, seconds: float, *, stream: bool, look_at_memory: bool = False
    ) -> Load:
        """Put load on a system and return once its last answer is there.

        Args:
            target: the system.
            concurrency: connections, each with one request at a time.
            seconds: after them no request begins.
            stream: whether answers are streamed.
            look_at_memory: whether to look at the memory of the system in the middle.

        Raises:
            NoStartError: no figures came.
        """
        command = [str(self._folder / "tokenload"), "--port", str(target.port), "--model", MODEL]
        command += ["--concurrency", str(concurrency), "--seconds", str(seconds), "--stream", str(int(stream))]
        if target.header:
            command += ["--header", target.header]
        before, memory = target.cpu_s(), None
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            if look_at_memory:
                time.sleep(seconds / 2)
                memory = target.memory_bytes()
            try:
                out, err = running.communicate(timeout=seconds + _PATIENCE_S)
            except subprocess.TimeoutExpired:
                running.kill()
                raise NoStartError(f"the load did not end within {seconds + _PATIENCE_S:g} s") from None
        after = target.cpu_s()
        if not out.strip():
            raise NoStartError(f"no figures from tokenload: {last_line(err)}")
        told = json.loads(out)
        tokens = told["tok_s"] * told["seconds"]
        spent = None if before is None or after is None else after - before
        return Load(
            wrong=_wrong(told, concurrency),
            answers=told["ok"],
            requests_per_s=told["req_s"],
            tokens_per_s=told["tok_s"],
            first_token_us=told["ttft_us_p50"],
            gap_us=told["gap_us_p99"],
            cpu_us_per_token=None if spent is None or not tokens else spent * 1e6 / tokens,
            memory_bytes=memory,
        )


def _wrong(told: dict[str, float], concurrency: int) -> str | None:
    if told["errors"]:
        status = f", last status {told['last_bad_status']:.0f}" if told["last_bad_status"] else ""
        return f"{told['errors']:.0f} errors, {told['ok']:.0f} right answers{status}"
    if told["ok"] < concurrency:
        apart = f", tokens {told['gap_us_p50'] / 1e3:.0f} ms apart" if told["gap_us_p50"] else ""
        return f"{told['ok']:.0f} whole answers on {concurrency} connections in {told['seconds']:.0f} s{apart}"
    return None


def allow_files(number: int = 8192) -> None:
    """Raise the number of open files, for this process and all that it starts.

    Raises:
        BenchError: the system does not let us.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= number:
        return
    if hard != resource.RLIM_INFINITY and hard < number:
        raise BenchError(f"{number} open files are needed and the limit is {hard}; raise it with ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])


def await_listening(port: int) -> None:
    """Return once somebody listens there.

    Raises:
        NoStartError: nobody does.
    """
    deadline = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise NoStartError(f"nobody listens at port {port}")
        time.sleep(0.02)


def last_line(text: str) -> str:
    """The last words of a program, without colours; "" where it said nothing."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "" if not lines else _plain(lines[-1])[:300]


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
