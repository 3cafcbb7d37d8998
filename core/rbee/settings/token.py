"""The colony's token: one secret that opens the control routes."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from rbee.contract.errors import ConfigurationError

_SHORTEST = 16


def load_token(path: Path, environ: Mapping[str, str], *, create: bool = False) -> str | None:
    """The token from ``RBEE_TOKEN`` or the file.

    Args:
        path: the token file.
        environ: the environment.
        create: make the file with a fresh token, mode 0600, when there is none.

    Returns:
        The token, or None when there is none and none was to be made.

    Raises:
        ConfigurationError: the file is readable by others, empty, too short or cannot be read or made.
    """
    given = environ.get("RBEE_TOKEN")
    if given:
        return _checked(given.strip(), "the environment variable RBEE_TOKEN")
    try:
        return _read(path)
    except FileNotFoundError:
        if not create:
            return None
    except OSError as error:
        raise ConfigurationError(f"Token file '{path}' cannot be read: {error.strerror}.") from error
    return _create(path)


def _read(path: Path) -> str:
    with path.open(encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ConfigurationError(
                f"Token file '{path}' can be read by others (mode {mode:04o}). Run: chmod 600 '{path}'"
            )
        return _checked(file.read(4096).strip(), f"token file '{path}'")


def _create(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    staged = path.with_name(f".token.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        try:
            # A hard link fails where the name exists: of two first starts at once, both use one token.
            os.link(staged, path)
        except FileExistsError:
            return _read(path)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"Token file '{path}' cannot be made: {error.strerror}. "
            "Make its folder writable, or set RBEE_HOME to a folder that is."
        ) from error
    return token


def _checked(token: str, source: str) -> str:
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"The token in {source} must be at least {_SHORTEST} printable ASCII characters without spaces."
        )
    return token
