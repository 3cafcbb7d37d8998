"""The connections of this machine, in one file that only its user may read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rbee.builtin.openai_server.connection import Connection
from rbee.contract.errors import ConfigurationError, ConflictError, NotFoundError

FILE = "servers.json"


class _File(msgspec.Struct, frozen=True, kw_only=True):
    servers: tuple[Connection, ...] = ()


class Connections:
    """Reads the file at each question: it is small, and others write it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Connections:
        """Those of an environment's colony, beside its configuration."""
        root = environ.get("RBEE_HOME")
        if root:
            return cls(Path(root).expanduser() / "config" / FILE)
        import platformdirs

        return cls(Path(platformdirs.user_config_dir("rbee", appauthor=False)) / FILE)

    @classmethod
    def here(cls) -> Connections:
        """Those of this process's colony, for vendors and engines: they are made without arguments."""
        return cls.of(os.environ)

    def all(self) -> tuple[Connection, ...]:
        """Every connection, by name.

        Raises:
            ConfigurationError: the file cannot be read, or somebody else may.
        """
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise ConfigurationError(
                        f"'{self._path}' holds keys and others may read it; make it yours alone: "
                        f"chmod 600 '{self._path}'"
                    )
                found = msgspec.json.decode(file.read(), type=_File).servers
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # What stands there may be a key: it is not quoted.
            raise ConfigurationError(
                f"'{self._path}' cannot be read ({type(error).__name__}); mend it, or delete it and add the servers "
                "again."
            ) from None
        return tuple(sorted(found, key=lambda one: one.name))

    def get(self, name: str) -> Connection:
        """One connection.

        Raises:
            NotFoundError: there is no such connection.
            ConfigurationError: as `all`.
        """
        everything = self.all()
        found = next((one for one in everything if one.name == name), None)
        if found is None:
            names = ", ".join(one.name for one in everything) or "none"
            raise NotFoundError(
                f"There is no server {name!r} here. Servers: {names}. Add it: rbee server add {name} URL"
            )
        return found

    def add(self, connection: Connection, *, replace: bool) -> None:
        """Keep a connection.

        Raises:
            ConflictError: there is one of that name, and it is not to be replaced.
            ConfigurationError: as `all`, or it cannot be written.
        """
        with self._locked():
            others = [one for one in self.all() if one.name != connection.name]
            if not replace and len(others) < len(self.all()):
                raise ConflictError(
                    f"There is a server {connection.name!r} already; choose another name, or replace it with --replace."
                )
            self._write((*others, connection))

    def remove(self, name: str) -> None:
        """Forget a connection and its key.

        Raises:
            NotFoundError, ConfigurationError: as `get`.
        """
        with self._locked():
            self.get(name)
            self._write(tuple(one for one in self.all() if one.name != name))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else changes the file meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._path.with_name(f"{FILE}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"'{self._path}' cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, connections: tuple[Connection, ...]) -> None:
        fresh = self._path.with_name(f"{FILE}.new")
        try:
            fresh.unlink(missing_ok=True)
            # Made for this user alone from the first byte on; `O_EXCL` takes nobody's link.
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(_File(servers=connections)), indent=2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise ConfigurationError(f"'{self._path}' cannot be written: {error.strerror}.") from error
