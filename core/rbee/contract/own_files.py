"""Files written where others may have left links: what they lead to is never touched."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_file(path: Path) -> None:
    """Delete a file or a link, if there is one; a folder stays.

    Raises:
        OSError: it cannot be deleted.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)


def remove_shared(path: Path) -> None:
    """Delete what is not a plain file of one name: a link, a file that lies elsewhere too, a pipe.

    Raises:
        OSError: it cannot be deleted, as a folder cannot.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        # Raised here: systems differ in the error with which they refuse to delete a folder this way.
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        path.unlink(missing_ok=True)


def opened_to_append(path: Path) -> BinaryIO:
    """A file of its own, unbuffered; made when there is none.

    Raises:
        OSError: it cannot be opened.
    """
    remove_shared(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | _FLAGS, 0o666), "ab", buffering=0)


def write_whole(path: Path, data: bytes) -> None:
    """Put a small file in the place of whatever is called so, all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    fresh = path.with_name(f"{path.name}.new")
    remove_file(fresh)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_EXCL | _FLAGS, 0o666), "wb") as stream:
        stream.write(data)
    fresh.replace(path)
