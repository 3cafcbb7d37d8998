"""Who may touch the folder of models: one program, and in it one piece of work a model at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from weakref import WeakValueDictionary

from rbee.contract.errors import ConflictError

_LOCK = ".lock"


class FolderLock:
    """The folder belongs to this program, until it closes it or ends.

    Two hives in one folder would each take the other's unfinished work for what an earlier life has left.

    Args:
        folder: of the models.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._held: int | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            ConflictError: another program has it; the message names its process.
        """
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(opened, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(opened)
            raise ConflictError(
                f"The models in '{self._path.parent}' are in use by another hive (process {holder}). Stop it "
                "(`rbee hive stop` or `rbee down`), or give this one a home of its own by RBEE_HOME."
            ) from error
        os.ftruncate(opened, 0)
        os.write(opened, f"{os.getpid()}\n".encode("ascii"))
        self._held = opened

    def leave(self) -> None:
        """Give it up; harmless when it is not held."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class ModelLocks:
    """One lock a model, by the name of its folder: whoever fetches, deletes or tidies waits for the others."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """The lock of a model; the same for as long as somebody holds it."""
        found = self._locks.get(key)
        if found is None:
            found = self._locks[key] = asyncio.Lock()
        return found
