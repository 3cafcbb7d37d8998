"""What a worker has started and left behind: found by its session or its tags, and ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from rbee.hive.children import TAG_ID, TAG_ROOT, Child, same_start, start_ticks

log = logging.getLogger(__name__)

_ROUNDS = 3
_PATIENCE_S = 1.0


def end_leftovers(child: Child, root: Path) -> int:
    """Kill every process of a worker that has ended, and give them a moment to go; returns how many there were.

    Blocks: to be called in a thread.  A worker that crashes cannot stop the processes of its engine, and they would
    hold the memory that the next worker is promised.
    """
    ended: set[int] = set()
    # More than once: a process may start another one while it is looked for.
    for _ in range(_ROUNDS):
        found = list(_of(child, root))
        if not found:
            break
        for process in found:
            ended.add(process.pid)
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            except psutil.Error as error:
                log.warning("process %d of worker %s cannot be ended: %s", process.pid, child.worker_id, error)
        psutil.wait_procs(found, timeout=_PATIENCE_S)
    if ended:
        log.info("worker %s left %d processes behind; they were ended", child.worker_id, len(ended))
    return len(ended)


def _of(child: Child, root: Path) -> Iterator[psutil.Process]:
    tagged = {TAG_ID: child.worker_id, TAG_ROOT: str(root.resolve())}
    ours = _leads_session(child)
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if (ours and _session_of(process.pid) == child.pid) or _carries(process, tagged):
                yield process
        except psutil.Error:
            continue


def _leads_session(child: Child) -> bool:
    """Whether the session of that number is the worker's.

    The system gives the number to nobody else while anybody is left in it.  Once nobody is, a stranger may have it and
    lead a session of his own.
    """
    try:
        created = psutil.Process(child.pid).create_time()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return True
    except psutil.Error:
        return False
    return same_start(child, start_ticks(child.pid), created)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (OSError, AttributeError):
        return None


def _carries(process: psutil.Process, tagged: dict[str, str]) -> bool:
    try:
        found = process.environ()
    except (psutil.Error, OSError):
        # Another user's, in most cases; never one that a worker of ours started.
        return False
    return all(found.get(name) == value for name, value in tagged.items())
