"""Room on the disk, and what its errors mean for a person."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from rbee.contract.amounts import byte_size
from rbee.contract.errors import ConfigurationError, InsufficientDiskError, RbeeError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAKE_ROOM = "Make room, or set RBEE_HOME to a larger disk; what has come is kept."
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
_REMEDIES = (
    (
        frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
        "Give the user that runs rbee the right to write there, or set RBEE_HOME to another folder.",
    ),
    (
        frozenset({errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ENXIO}),
        "Something has taken the folder or its disk away meanwhile; see that it is there, and try again.",
    ),
    (_IN_THE_WAY, "Something else lies where it belongs; move that away, and try again."),
    (frozenset({errno.EFBIG}), "Its file system holds no files that large; set RBEE_HOME to another one."),
    (frozenset({errno.ENAMETOOLONG}), "Its file system holds no names that long; set RBEE_HOME to another one."),
    (frozenset({errno.EMFILE, errno.ENFILE}), "Allow rbee more open files (`ulimit -n`), and try again."),
    (frozenset({errno.EBUSY, errno.EAGAIN, errno.ETXTBSY}), "Another program holds it; end that one, and try again."),
)
_BROKEN_DISK = "Check that disk and what the system's log says of it, or set RBEE_HOME to another one."


def check_room(folder: Path, name: str, needed: int, spare: int) -> None:
    """See whether a file has room.

    Args:
        folder: where it is to lie.
        name: of the file, for the message.
        needed: bytes that are still to be written.
        spare: bytes that must be left then.

    Raises:
        InsufficientDiskError: it has not.
        ConfigurationError: the folder is not there.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise file_error(folder, name, error) from error
    if free < needed + spare:
        raise InsufficientDiskError(
            f"File {name!r} needs {byte_size(needed)} more in '{folder}', where {byte_size(free)} are free "
            f"(rbee leaves {byte_size(spare)} untouched). {_MAKE_ROOM}",
            details={"needed_bytes": needed, "free_bytes": free},
        )


def file_error(folder: Path, name: str, error: OSError) -> RbeeError:
    """The error for a person when a file cannot be written, moved or read.

    Args:
        folder: where it lies, or should.
        name: of the file, or of the model.
        error: of the system.

    Returns:
        `InsufficientDiskError` for a full disk, else `ConfigurationError`; both say what to do.
    """
    if error.errno in _FULL:
        return InsufficientDiskError(f"The disk is full: no room for {name!r} in '{folder}'. {_MAKE_ROOM}")
    remedy = next((text for numbers, text in _REMEDIES if error.errno in numbers), _BROKEN_DISK)
    return ConfigurationError(
        f"File {name!r} cannot be written or read in '{folder}' ({error.strerror or error}). {remedy}"
    )
