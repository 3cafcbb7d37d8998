"""The hive's children: tagged at birth, found again by their tags, never mistaken for somebody else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil

from rbee.contract.devices import shares_from, shares_text
from rbee.contract.errors import NotFoundError
from rbee.contract.types import DeviceShare
from rbee.http.ports import url_of
from rbee.settings import Settings

TAG_ID = "RBEE_WORKER_ID"
TAG_ROOT = "RBEE_HIVE_ROOT"
TAG_PORT = "RBEE_WORKER_PORT"
TAG_THREADS = "RBEE_WORKER_THREADS"
TAG_MODEL = "RBEE_WORKER_MODEL"
TAG_DEVICE = "RBEE_WORKER_DEVICE"
TAG_MEMORY = "RBEE_WORKER_MEMORY"
TAG_SHARES = "RBEE_WORKER_SHARES"

_CLOCK_SLACK_S = 5.0
_TICKS_FIELD = 19
"""Place of the start time in ``/proc/PID/stat`` behind the program's name, as proc(5) counts less three."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process of this hive.

    Attributes:
        worker_id: its tag.
        pid: its process.
        created: when the process started, by the clock of the day as psutil tells; a clock that is set moves it.
        port: where it listens.
        threads: what the budget gave it.
        model_id: what it was started for.
        ticks: when it started, in ticks since boot; with `pid` it names one process for ever.  None where the
            system does not tell.
        device: id of its device, of several with commas between; None for one of an earlier version of rbee.
        memory_bytes: memory of that device that the budget promised it, of several in all; None when nobody could tell
            what it needs.
        shares: of several devices, what the budget promised it of each; empty for one.
    """

    worker_id: str
    pid: int
    created: float
    port: int
    threads: int
    model_id: str
    ticks: int | None = None
    device: str | None = None
    memory_bytes: int | None = None
    shares: tuple[DeviceShare, ...] = ()


def address(settings: Settings, child: Child) -> str:
    """Where a child is reached."""
    return url_of(settings.server.host, child.port)


def tags(
    root: Path,
    worker_id: str,
    port: int,
    threads: int,
    model_id: str,
    device: str | None = None,
    memory_bytes: int | None = None,
    shares: Sequence[DeviceShare] = (),
) -> dict[str, str]:
    """The environment that marks a child of the hive whose state is kept in `root`."""
    memory = None if memory_bytes is None else str(memory_bytes)
    share = {TAG_DEVICE: device, TAG_MEMORY: memory, TAG_SHARES: shares_text(shares)}
    return {
        TAG_ID: worker_id,
        TAG_ROOT: str(root.resolve()),
        TAG_PORT: str(port),
        TAG_THREADS: str(threads),
        TAG_MODEL: model_id,
        # Empty, not absent: what the hive itself was started with must not show through.
        **{name: value or "" for name, value in share.items()},
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
                ticks=start_ticks(pid),
                device=found.get(TAG_DEVICE) or None,
                memory_bytes=int(found.get(TAG_MEMORY) or 0) or None,
                shares=shares_from(found.get(TAG_DEVICE), found.get(TAG_SHARES)),
            )
    except (psutil.Error, OSError, ValueError):
        return None


def start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot, which no clock moves; None when it is gone or nobody tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        # The program's name stands in brackets and may itself hold brackets and spaces.
        return int(stat.rpartition(b")")[2].split()[_TICKS_FIELD])
    except (OSError, ValueError, IndexError):
        return None


def born(pid: int) -> float:
    """When a process started, by the clock; 0 when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def is_alive(child: Child) -> bool:
    """Whether that very process still runs."""
    try:
        process = psutil.Process(child.pid)
        return same_start(child, start_ticks(child.pid), process.create_time()) and (
            process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def send_signal(child: Child, number: signal.Signals, root: Path) -> None:
    """Signal a child that was found, and, for SIGKILL, whatever it has started.

    Raises:
        NotFoundError: the pid is not that tagged process (any more); nothing was signalled.
    """
    present = identify(child.pid, root)
    if present is None or present.worker_id != child.worker_id or not same_start(child, present.ticks, present.created):
        raise NotFoundError(
            f"Process {child.pid} is not worker {child.worker_id!r} of this hive; it was not signalled."
        )
    with contextlib.suppress(ProcessLookupError):
        signal_group(child.pid, number)


def signal_own(child: Child, number: signal.Signals) -> None:
    """Signal a child that this process started and whose end it has not seen.

    Its tags need not be readable: until its end is taken note of, the system gives its pid to nobody else.

    Raises:
        ProcessLookupError: it has ended this instant.
    """
    # Its end is taken note of in another thread, a moment before this one hears of it.
    now = start_ticks(child.pid)
    if child.ticks is not None and now != child.ticks:
        raise ProcessLookupError(f"process {child.pid} has ended")
    signal_group(child.pid, number)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a worker or, for SIGKILL, its whole process group, which every worker leads.

    Raises:
        OSError: the system refuses; ProcessLookupError when there is no such process.
    """
    if number is signal.SIGKILL:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


def same_start(child: Child, ticks: int | None, created: float) -> bool:
    """Whether a process with the child's pid that started then is the child.

    Args:
        child: as it was recorded.
        ticks: when the process started, as `start_ticks` tells.
        created: the same by the clock of the day, which counts where there are no ticks.
    """
    if child.ticks is not None and ticks is not None:
        return ticks == child.ticks
    return abs(created - child.created) <= _CLOCK_SLACK_S
