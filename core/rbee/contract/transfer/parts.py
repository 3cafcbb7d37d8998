"""A file that is not whole yet: its bytes, and a note beside them that says of what."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import msgspec

from rbee.contract.errors import ModelFileError
from rbee.contract.transfer.disk import disk_error
from rbee.contract.transfer.flusher import Flusher
from rbee.contract.transfer.follower import is_provable
from rbee.contract.types import ModelFile

_PART = ".part"
_NOTE = ".part.json"
_MOST_NOTE_BYTES = 16 * 1024


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bytes of a part belong to.

    Attributes:
        size_bytes: promised of the file, as are the next two.
        sha256: lower-case hex.
        git_oid: lower-case hex.
        etag: of the version that the server gave, when it is one that changes with every byte.
        last_modified: likewise.
    """

    size_bytes: int | None = None
    sha256: str | None = None
    git_oid: str | None = None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` takes."""
        return self.etag or self.last_modified


def check_names(files: Sequence[ModelFile], folder: Path) -> None:
    """See that files lie below their folder and do not get into each other's way.

    Raises:
        ModelFileError: one does not.
    """
    names = {file.name for file in files}
    for file in files:
        pure = PurePosixPath(file.name)
        inside = bool(file.name) and not pure.is_absolute() and ".." not in pure.parts and pure.parts
        if not inside or "\\" in file.name or not file.name.isprintable() or str(pure) != file.name:
            raise ModelFileError(
                f"A file of the model is called {file.name!r}, which is no path below its folder; refused."
            )
        if not (folder / pure).parent.resolve().is_relative_to(folder.resolve()):
            raise ModelFileError(f"File {file.name!r} of the model would leave its folder; refused.")
        if {file.name + _PART, file.name + _NOTE} & names:
            raise ModelFileError(
                f"The model has a file called as the unfinished {file.name!r} is; it cannot be fetched."
            )
    if len(names) != len(files):
        raise ModelFileError("The model names a file twice; refused.")


class Part:
    """The unfinished file, open for writing.  Every write is in the system's hands when it returns.

    Args:
        folder: of the model.
        file: what is promised.

    Attributes:
        length: bytes that are there.
        note: what they belong to; None when nobody knows.
    """

    def __init__(self, folder: Path, file: ModelFile) -> None:
        self._folder = folder
        self._file = file
        self.final = folder / file.name
        self.path = self.final.with_name(self.final.name + _PART)
        self._note_path = self.final.with_name(self.final.name + _NOTE)
        self.length = 0
        self.note: Note | None = None

    def __enter__(self) -> Self:
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("ab", buffering=0)
            try:
                self.length = os.fstat(self._stream.fileno()).st_size
                self.note = self._read_note()
                if not self.can_go_on():
                    self.clear()
            except BaseException:
                self._stream.close()
                raise
        except OSError as error:
            raise disk_error(self._folder, self._file.name, error) from error
        self._flusher = Flusher(self._stream.fileno(), self.length)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._flusher.end()
        self._stream.close()

    def can_go_on(self) -> bool:
        """Whether more bytes may be added: a checksum will prove the whole, or its version is known."""
        file, note = self._file, self.note
        provable = is_provable(file)
        if note is None:
            usable = provable
        else:
            promised = (note.size_bytes, note.sha256, note.git_oid)
            usable = promised == (file.size_bytes, file.sha256, file.git_oid) and (provable or bool(note.validator))
        return usable and (file.size_bytes is None or self.length <= file.size_bytes)

    def begin(self, etag: str | None, last_modified: str | None) -> None:
        """Start at the first byte, with a version that the server tells."""
        file = self._file
        note = Note(
            size_bytes=file.size_bytes, sha256=file.sha256, git_oid=file.git_oid, etag=etag, last_modified=last_modified
        )
        try:
            self.clear()
            # Both or nothing: half a note would be no note.
            fresh = self._note_path.with_name(self._note_path.name + ".new")
            fresh.write_bytes(msgspec.json.encode(note))
            fresh.replace(self._note_path)
        except OSError as error:
            raise disk_error(self._folder, file.name, error) from error
        self.note = note

    def clear(self) -> None:
        """Throw away what is there."""
        self._stream.truncate(0)
        self.length = 0
        self._note_path.unlink(missing_ok=True)
        self.note = None

    def write(self, block: bytes) -> None:
        """Add bytes at the end.

        Raises:
            InsufficientDiskError: there is no room; what fitted is kept.
            ConfigurationError: the disk takes nothing for another reason.
        """
        view = memoryview(block)
        try:
            while view:
                count = self._stream.write(view)
                self.length += count
                view = view[count:]
            self._flusher.advance(self.length)
        except OSError as error:
            raise disk_error(self._folder, self._file.name, error) from error

    def flush(self) -> None:
        """Return once the bytes are on the disk."""
        try:
            self._flusher.flush()
        except OSError as error:
            raise disk_error(self._folder, self._file.name, error) from error

    def finish(self) -> None:
        """Give the file its final name."""
        try:
            self.path.replace(self.final)
            self._note_path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self._folder, self._file.name, error) from error

    def discard(self) -> None:
        """Delete it."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self._note_path.unlink(missing_ok=True)

    def _read_note(self) -> Note | None:
        try:
            with self._note_path.open("rb") as stream:
                return msgspec.json.decode(stream.read(_MOST_NOTE_BYTES), type=Note)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
