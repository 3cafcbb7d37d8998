"""Addresses of data bases: read, completed, and shown without their secrets."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from rbee.contract.errors import ConfigurationError

# What people write, and the driver that can wait without stopping the program.
_DRIVERS = MappingProxyType(
    {
        "sqlite": "sqlite+aiosqlite",
        "postgres": "postgresql+asyncpg",
        "postgresql": "postgresql+asyncpg",
    }
)
_MEMORY = frozenset({None, "", ":memory:"})
_LOGIN = re.compile(r"(:(?://)?[^/:@]*:|^[^:@]*:)(?!//).*@", re.DOTALL)


def file_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string(hide_password=False)


def parsed(text: str) -> URL:
    """A URL with a driver that fits.

    Raises:
        ConfigurationError: it is no URL of a data base; the message does not hold its password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            f"{_masked(text)!r} is no URL of a data base. "
            "Write it as sqlite:////absolute/path.db or postgresql://user@host/name."
        ) from error
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def is_sqlite(url: URL) -> bool:
    """Whether SQLite keeps it, in a file or in memory."""
    return url.get_backend_name() == "sqlite"


def is_memory(url: URL) -> bool:
    """Whether it ends with its connection."""
    return is_sqlite(url) and (url.database in _MEMORY or url.query.get("mode") == "memory")


def file_of(url: URL) -> Path | None:
    """The file of a SQLite data base, None for any other."""
    if not is_sqlite(url) or is_memory(url) or url.database is None:
        return None
    plain = url.database.removeprefix("file:").partition("?")[0]
    return Path(plain)


def shown_url(url: URL | str) -> str:
    """A URL for a message or a list: a file's path, or the address without password and parameters."""
    try:
        whole = parsed(url) if isinstance(url, str) else url
    except ConfigurationError:
        return _masked(str(url))
    path = file_of(whole)
    return str(path) if path is not None else whole.set(query={}).render_as_string(hide_password=True)


def without_secrets(url: URL, text: str) -> str:
    """A driver's words, should they repeat the password."""
    values = [url.password, url.query.get("password")]
    for secret in values:
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return text


def _masked(text: str) -> str:
    return _LOGIN.sub(r"\1***@", text).partition("?")[0]
