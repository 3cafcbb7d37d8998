"""A file that is not whole yet: its bytes, and a note beside them that says of what."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from rbee.contract.checksums import has_checksum
from rbee.contract.disk import file_error
from rbee.contract.file_names import PART
from rbee.contract.own_files import opened_to_append, remove_shared, write_whole
from rbee.contract.transfer.flusher import Flusher
from rbee.contract.types import ModelFile

_NOTE = f"{PART}.json"
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
        self.path = self.final.with_name(self.final.name + PART)
        self._note_path = self.final.with_name(self.final.name + _NOTE)
        self.length = 0
        self.note: Note | None = None

    def __enter__(self) -> Self:
        with self._errors():
            self.final.parent.mkdir(parents=True, exist_ok=True)
            self._stream = opened_to_append(self.path)
            try:
                self.length = os.fstat(self._stream.fileno()).st_size
                self.note = self._read_note()
                if not self.can_go_on():
                    self.clear()
            except BaseException:
                self._stream.close()
                raise
        self._flusher = Flusher(self._stream.fileno(), self.length)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._flusher.end()
        self._stream.close()

    def can_go_on(self) -> bool:
        """Whether more bytes may be added: a checksum will prove the whole, or its version is known."""
        file, note = self._file, self.note
        provable = has_checksum(file)
        if note is None:
            usable = provable
        else:
            promised = (note.size_bytes, note.sha256, note.git_oid)
            usable = promised == (file.size_bytes, file.sha256, file.git_oid) and (provable or bool(note.validator))
        return usable and (file.size_bytes is None or self.length <= file.size_bytes)

    def begin(self, etag: str | None, last_modified: str | None) -> None:
        """Start at the first byte, with a version that the server tells.

        Raises:
            RbeeError: the disk fails, here and below: what `file_error` makes of it.
        """
        file = self._file
        note = Note(
            size_bytes=file.size_bytes, sha256=file.sha256, git_oid=file.git_oid, etag=etag, last_modified=last_modified
        )
        self.clear()
        with self._errors():
            # All of it or nothing: half a note would be no note.
            write_whole(self._note_path, msgspec.json.encode(note))
        self.note = note

    def clear(self) -> None:
        """Throw away what is there."""
        self.rewind(0)
        with self._errors():
            self._note_path.unlink(missing_ok=True)
        self.note = None

    def rewind(self, length: int) -> None:
        """Throw away what is there behind so many bytes."""
        with self._errors():
            self._stream.truncate(length)
        self.length = length

    def write(self, block: bytes) -> None:
        """Add bytes at the end; on an error what fitted is kept."""
        view = memoryview(block)
        with self._errors():
            while view:
                count = self._stream.write(view)
                self.length += count
                view = view[count:]
            self._flusher.advance(self.length)

    def flush(self) -> None:
        """Return once the bytes are on the disk."""
        with self._errors():
            self._flusher.flush()

    def finish(self) -> None:
        """Give the file its final name."""
        with self._errors():
            self.path.replace(self.final)
            self._note_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete it."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self._note_path.unlink(missing_ok=True)

    def _read_note(self) -> Note | None:
        remove_shared(self._note_path)
        try:
            with self._note_path.open("rb") as stream:
                return msgspec.json.decode(stream.read(_MOST_NOTE_BYTES), type=Note)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise file_error(self._folder, self._file.name, error) from error
