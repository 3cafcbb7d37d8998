"""Files that nobody else may read, whole or not there."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from rbee.contract.errors import ConfigurationError

_LARGEST = 256 * 1024


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone; harmless when it is there.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            # `parents=True` would leave those above open to whom the umask lets in.
            one.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(f"Folder '{folder}' cannot be made: {error.strerror}. Make it writable.") from error


def write_private(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Write a file for this user alone, whole or not at all.

    Args:
        path: of the file; its folder is there.
        content: of the file.
        replace: put it in the place of one that is there.

    Returns:
        False when there is one and it was not to be replaced.

    Raises:
        ConfigurationError: it cannot be written.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                staged.replace(path)
                return True
            try:
                # A hard link fails where the name exists: of two first starts at once both use one file.
                os.link(staged, path)
            except FileExistsError:
                return False
            return True
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"File '{path}' cannot be written: {error.strerror}.") from error


def read_private(path: Path) -> bytes | None:
    """A file that only this user may read; None when there is none.

    Raises:
        ConfigurationError: others can read it, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ConfigurationError(
                    f"File '{path}' can be read by others (mode {mode:04o}). Run: chmod 600 '{path}'"
                )
            return file.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"File '{path}' cannot be read: {error.strerror}.") from error
