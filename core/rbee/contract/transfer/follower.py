"""Computing the checksum of a file while it is being written."""

from __future__ import annotations

import errno
import threading
from io import FileIO
from pathlib import Path

from rbee.contract.checksums import Checksum
from rbee.contract.disk import file_error
from rbee.contract.types import ModelFile
from rbee.contract.vendor import CancelToken

_BLOCK = 1024 * 1024
_POLL_S = 0.05


class Follower:
    """Reads a file behind its writer, in a thread of its own: what lay there before it is covered too.

    Hashing gives the interpreter free, so it takes another core than receiving does.

    Args:
        path: the file; it exists.
        file: what is promised of it.
        size: of all of it; only a git id takes it.
    """

    def __init__(self, path: Path, file: ModelFile, size: int | None) -> None:
        self._path = path
        self._checksum = Checksum(file, size)
        self._written = 0
        self._hashed = 0
        self._ended = False
        self._given_up = False
        self._error: OSError | None = None
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rbee-transfer-checksum", daemon=True)
        self._thread.start()

    def advance(self, written: int) -> None:
        """So many bytes of the file are there."""
        self._written = written
        # An event a block: one for each of many small reads would cost more than the hashing.
        if written - self._hashed >= _BLOCK:
            self._news.set()

    def ended(self, written: int) -> None:
        """All bytes are there."""
        self._written = written
        self._ended = True
        self._news.set()

    def result(self, cancel: CancelToken) -> bool:
        """Whether the checksum is the promised one; returns once the rest is read.

        Raises:
            CancelledByCallerError: through the token.
            ConfigurationError: the file cannot be read.
        """
        while self._thread.is_alive():
            cancel.raise_if_cancelled()
            self._thread.join(_POLL_S)
        if self._error is not None:
            raise file_error(self._path.parent, self._path.name, self._error) from self._error
        return self._checksum.is_promised()

    def give_up(self) -> None:
        """Nobody wants the checksum any more; returns once the file is let go."""
        self._given_up = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        view = memoryview(bytearray(_BLOCK))
        try:
            with self._path.open("rb", buffering=0) as stream:
                while not self._given_up:
                    # Asked in this order: whoever ends the file says first how long it is.
                    ended, ahead = self._ended, self._written - self._hashed
                    if ahead >= _BLOCK or (ended and ahead):
                        self._take(stream, view[: min(ahead, _BLOCK)])
                    elif ended:
                        return
                    else:
                        self._news.wait()
                        self._news.clear()
        except OSError as error:
            self._error = error

    def _take(self, stream: FileIO, view: memoryview) -> None:
        count = stream.readinto(view)
        if not count:
            raise OSError(errno.EIO, "the file is shorter than what was written")
        self._checksum.update(view[:count])
        self._hashed += count
