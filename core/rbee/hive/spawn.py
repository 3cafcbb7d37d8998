"""Starting one worker process and following it until it serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from rbee.contract.errors import CancelledByCallerError, PortTakenError, RbeeError, WorkerFailedError, error_types
from rbee.contract.worker_args import LoadReport, WorkerArgs
from rbee.hive.process import ChildProcess
from rbee.http.ports import listen, port_of
from rbee.logs import private


class Spawned(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process just started.

    Attributes:
        process: its handle.
        report: its end of the pipe, for reading.
        log: file with its output.
    """

    process: ChildProcess
    report: asyncio.StreamReader
    log: Path


def free_socket(host: str, first: int, last: int) -> socket.socket:
    """A listening socket on the first free port of the range.

    The socket itself is handed to the worker, so that nobody can take the port in between.

    Raises:
        PortTakenError: every port of the range is taken.
    """
    for port in range(first, last + 1):
        try:
            return listen(host, port, "a worker")
        except PortTakenError:
            continue
    raise PortTakenError(
        f"Every port from {first} to {last} is taken; widen hive.worker_port_first and hive.worker_port_last."
    )


async def spawn(
    args: WorkerArgs, sock: socket.socket, environment: Mapping[str, str], log: Path, python: str = sys.executable
) -> Spawned:
    """Start ``python -m rbee.worker`` in a session of its own, output to `log`.

    Args:
        args: without descriptors; they are added here.
        sock: closed here once the child has it.
        environment: the child's, tags included.
        log: appended to.
        python: the interpreter, of rbee's own environment or of one that holds the engine.
    """
    try:
        reading, writing = os.pipe()
    except OSError:
        sock.close()
        raise
    try:
        complete = msgspec.structs.replace(args, socket_fd=sock.fileno(), report_fd=writing, port=port_of(sock))
        with open(log, "ab", opener=private) as output:  # noqa: ASYNC230  # one short call; pathlib has no opener
            process = ChildProcess.start(
                [python, "-m", "rbee.worker", *complete.to_argv()],
                environment,
                output,
                (sock.fileno(), writing),
            )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        sock.close()
    pipe = os.fdopen(reading, "rb", buffering=0)
    try:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    except BaseException:
        # The child runs and stands in nobody's table yet: who breaks off here must end it here.
        pipe.close()
        await discard(process)
        raise
    return Spawned(process=process, report=reader, log=log)


async def discard(process: ChildProcess) -> None:
    """Kill a worker that has just been started, with all that it has started itself, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until_ready(worker_id: str, spawned: Spawned, on_stage: Callable[[str], None]) -> None:
    """Follow a worker's report until it serves.

    Raises:
        RbeeError: what it reports, or that it died without a word.
    """
    while line := await spawned.report.readline():
        with contextlib.suppress(msgspec.DecodeError):
            report = msgspec.json.decode(line, type=LoadReport)
            if report.ready:
                return
            if report.code is not None:
                raise error_types().get(report.code, RbeeError)(report.message or "The worker failed to load.")
            if report.stage:
                on_stage(report.stage)
    code = await spawned.process.wait()
    if code == 0:
        raise CancelledByCallerError(f"Worker {worker_id!r} was stopped while it loaded.")
    said = last_lines(spawned.log)
    raise WorkerFailedError(
        f"Worker {worker_id!r} ended with code {code} while it loaded. "
        + (f"Its last words: {said}. " if said else "")
        + f"Its log: '{spawned.log}'"
    )


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a worker's output, for an error message."""
    # The part before, when the file was continued this moment.
    for path in (log, log.with_name(f"{log.name}.1")):
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
            if said := [line for line in lines if line][-count:]:
                return " | ".join(said)
    return ""
