"""Checksums of files whose vendor gives none: each file is read once, whoever asks, and out of everybody's way."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from pathlib import Path

import msgspec

from rbee.catalog.cancel import Cancel
from rbee.catalog.threads import FetchThreads
from rbee.contract.errors import NotFoundError

_REMEMBERED = 4096
_BLOCK = 1024 * 1024
_LEAVE_S = 5.0


class FileState(msgspec.Struct, frozen=True):
    """What tells one state of a file from the next.

    Attributes:
        path: of the file.
        size_bytes: its length.
        changed_ns: when it was last written.
    """

    path: str
    size_bytes: int
    changed_ns: int


class Checksums:
    """Computes them in threads that do not hold up the program's end, and remembers the last few thousand."""

    def __init__(self) -> None:
        self._known: dict[FileState, str] = {}
        self._under_way: dict[FileState, asyncio.Task[str]] = {}
        self._threads = FetchThreads(1)
        self._cancel = Cancel()

    def known(self, state: FileState) -> str | None:
        """The checksum, if it has been computed."""
        return self._known.get(state)

    async def of(self, path: Path) -> tuple[FileState, str]:
        """The checksum of a file as it is now, computed if need be; all who ask meanwhile share the reading.

        Raises:
            NotFoundError: it cannot be read, or changes while it is.
            CancelledByCallerError: `close` was called.
        """
        self._cancel.raise_if_cancelled()
        state = await asyncio.to_thread(state_of, path)
        if state in self._known:
            return state, self._known[state]
        task = self._under_way.get(state)
        if task is None:
            task = self._under_way[state] = asyncio.create_task(self._read(state), name=f"checksum of {path.name}")
            task.add_done_callback(lambda ended: self._ended(state, ended))
        # Who leaves does not end it: whoever asks again finds it further on.
        return state, await asyncio.shield(task)

    async def close(self) -> None:
        """End what is being read; a disk that hangs is not waited for."""
        self._cancel.cancel()
        tasks = list(self._under_way.values())
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_LEAVE_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, state: FileState) -> str:
        found = await self._threads.run(functools.partial(_sha256, state, self._cancel), f"checksum of {state.path}")
        if len(self._known) >= _REMEMBERED:
            # The oldest goes.
            del self._known[next(iter(self._known))]
        self._known[state] = found
        return found

    def _ended(self, state: FileState, task: asyncio.Task[str]) -> None:
        del self._under_way[state]
        if not task.cancelled():
            # Whoever asked may have left.
            task.exception()


def state_of(path: Path) -> FileState:
    """A file as it is now.  Blocks: for a thread.

    Raises:
        NotFoundError: it is gone.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return FileState(str(path), found.st_size, found.st_mtime_ns)


def _sha256(state: FileState, cancel: Cancel) -> str:
    path, digest = Path(state.path), hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            buffer = bytearray(_BLOCK)
            view = memoryview(buffer)
            while count := stream.readinto(buffer):
                cancel.raise_if_cancelled()
                digest.update(view[:count])
    except OSError as error:
        raise _unreadable(path, error) from error
    if state_of(path) != state:
        raise NotFoundError(f"The file {path.name!r} has changed while it was read; try again.")
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> NotFoundError:
    return NotFoundError(f"The file {path.name!r} cannot be read here: {error.strerror or error}.")
