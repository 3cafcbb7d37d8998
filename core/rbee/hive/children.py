"""The hive's children: tagged at birth, found again by their tags, never mistaken for somebody else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from rbee.contract.errors import NotFoundError

TAG_ID = "RBEE_WORKER_ID"
TAG_ROOT = "RBEE_HIVE_ROOT"
TAG_PORT = "RBEE_WORKER_PORT"
TAG_THREADS = "RBEE_WORKER_THREADS"
TAG_MODEL = "RBEE_WORKER_MODEL"


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process of this hive.

    Attributes:
        worker_id: its tag.
        pid: its process.
        created: when the process started, as psutil tells; with `pid` it names one process for ever.
        port: where it listens.
        threads: what the budget gave it.
        model_id: what it was started for.
    """

    worker_id: str
    pid: int
    created: float
    port: int
    threads: int
    model_id: str


def tags(root: Path, worker_id: str, port: int, threads: int, model_id: str) -> dict[str, str]:
    """The environment that marks a child of the hive whose state is kept in `root`."""
    return {
        TAG_ID: worker_id,
        TAG_ROOT: str(root.resolve()),
        TAG_PORT: str(port),
        TAG_THREADS: str(threads),
        TAG_MODEL: model_id,
    }


def find(root: Path) -> Iterator[Child]:
    """Worker processes tagged by the hive whose state is kept in `root`."""
    for process in psutil.process_iter(["pid"]):
        child = identify(process.pid, root)
        if child is not None:
            yield child


def identify(pid: int, root: Path) -> Child | None:
    """The child with that pid; None when the process is gone, is not tagged, or is another hive's.

    An engine's own processes inherit the tag, so the command line must be a worker host's too.
    """
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            found = process.environ()
            if found.get(TAG_ROOT) != str(root.resolve()) or TAG_ID not in found:
                return None
            if f"--worker-id={found[TAG_ID]}" not in process.cmdline():
                return None
            return Child(
                worker_id=found[TAG_ID],
                pid=pid,
                created=process.create_time(),
                port=int(found.get(TAG_PORT, "0")),
                threads=int(found.get(TAG_THREADS, "1")),
                model_id=found.get(TAG_MODEL, ""),
            )
    except (psutil.Error, OSError, ValueError):
        return None


def is_alive(child: Child) -> bool:
    """Whether that very process still runs."""
    try:
        process = psutil.Process(child.pid)
        return process.create_time() == child.created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def send_signal(child: Child, number: signal.Signals, root: Path) -> None:
    """Signal the child and, for SIGKILL, whatever it has started.

    Raises:
        NotFoundError: the pid is not that tagged process (any more); nothing was signalled.
    """
    present = identify(child.pid, root)
    if present is None or present.worker_id != child.worker_id or present.created != child.created:
        raise NotFoundError(
            f"Process {child.pid} is not worker {child.worker_id!r} of this hive; it was not signalled."
        )
    with contextlib.suppress(ProcessLookupError):
        if number is signal.SIGKILL:
            # Every worker leads a process group of its own.
            os.killpg(child.pid, number)
        else:
            os.kill(child.pid, number)
