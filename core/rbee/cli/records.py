"""What a running program writes of itself in its home, and the lock that tells whether it still runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from rbee.cli.locks import FileLock

R = TypeVar("R", bound=msgspec.Struct)


class RecordFile(Generic[R]):
    """A record, believed only while its writer lives.

    Args:
        record: the file.
        life: held alone by the running program: whoever can take it knows that there is none.
        kind: of the record.
    """

    def __init__(self, record: Path, life: FileLock, kind: type[R]) -> None:
        self.record = record
        self.life = life
        self._kind = kind

    def write(self, record: R) -> None:
        """Make the record visible, whole."""
        staged = self.record.with_name(f".{self.record.name}.{os.getpid()}")
        staged.write_bytes(msgspec.json.encode(record))
        staged.replace(self.record)

    def read(self) -> R | None:
        """The record of who runs; None when nobody does, whatever an earlier one has left."""
        if not self.record.parent.is_dir():
            return None
        if self.life.try_exclusive():
            self.life.release()
            return None
        return self.peek()

    def peek(self) -> R | None:
        """What the record says, whether or not its writer still runs."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=self._kind)
        except (OSError, msgspec.DecodeError):
            return None
