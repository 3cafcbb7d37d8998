"""Room on the disk, and what its errors mean for a person."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from rbee.contract.amounts import byte_size
from rbee.contract.errors import ConfigurationError, InsufficientDiskError, RbeeError

CHECK_EACH_BYTES = 64 * 1024 * 1024
"""After so many written bytes the free space is looked at again: others write too."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REMEDY = "Make room, or set RBEE_HOME to a larger disk; what has come is kept."


def check_room(folder: Path, name: str, needed: int, spare: int) -> None:
    """See whether a file has room.

    Args:
        folder: where it is to lie.
        name: of the file, for the message.
        needed: bytes that are still to be written.
        spare: bytes that must be left then.

    Raises:
        InsufficientDiskError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + spare:
        raise InsufficientDiskError(
            f"File {name!r} needs {byte_size(needed)} more in '{folder}', where {byte_size(free)} are free "
            f"(rbee leaves {byte_size(spare)} untouched). {_REMEDY}",
            details={"needed_bytes": needed, "free_bytes": free},
        )


def disk_error(folder: Path, name: str, error: OSError) -> RbeeError:
    """The error for a person when a file cannot be written or read."""
    if error.errno in _FULL:
        return InsufficientDiskError(f"The disk is full: no room for {name!r} in '{folder}'. {_REMEDY}")
    if error.errno == errno.EFBIG:
        return ConfigurationError(
            f"The file system of '{folder}' does not hold files as large as {name!r}; set RBEE_HOME to another one."
        )
    return ConfigurationError(f"File {name!r} cannot be written in '{folder}': {error.strerror or error}.")
