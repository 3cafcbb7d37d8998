"""What a person names: packages of an index, wheels, or folders with the source of one."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from rbee.builtin.plugin_packages.distributions import CORE
from rbee.contract.errors import InvalidRequestError

_WITH_EXTRAS = re.compile(r"(?P<path>.+?)(?P<extras>\[[A-Za-z0-9._, -]+\])?")
_SOURCES = (".tar.gz", ".zip")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was named.

    Attributes:
        name: canonical name of the distribution; None of a source, whose name is known when it is built.
        text: for an index, with extras and versions.
        path: the wheel or the source; None for an index.
        extras: as ``[engine]``, of a path.
    """

    name: str | None
    text: str = ""
    path: Path | None = None
    extras: str = ""

    @property
    def is_source(self) -> bool:
        """Whether a wheel has to be built first."""
        return self.path is not None and self.name is None

    @property
    def requirement(self) -> str:
        """For an installer."""
        return self.text if self.path is None else f"{self.name}{self.extras} @ {self.path.as_uri()}"


def wanted_of(given: str) -> Wanted:
    """What a word of the command line means: what looks like a path is one, and everything else a name.

    Raises:
        InvalidRequestError: there is no such file, or it is no package.
    """
    matched = _WITH_EXTRAS.fullmatch(given)
    path, extras = (matched["path"], matched["extras"] or "") if matched else (given, "")
    if "://" in given:
        raise InvalidRequestError(
            f"{given!r} has an address in it. Fetch the file, look at it, and give its path.", param="package"
        )
    if os.sep in path or path.startswith(("~", ".")) or path.endswith((".whl", *_SOURCES)):
        return _at(Path(path).expanduser(), extras)
    try:
        found = Requirement(given)
    except InvalidRequirement as error:
        raise InvalidRequestError(
            f"{given!r} is no package: {str(error).splitlines()[0]}. Write its name, as in rbee-foo or 'rbee-foo>=1', "
            "or a path, as in ./rbee-foo.",
            param="package",
        ) from error
    if found.url is not None or found.marker is not None:
        raise InvalidRequestError(
            f"{given!r} must be a name, with extras and versions at most: no address and no condition.", param="package"
        )
    return Wanted(name=_foreign(found.name, given), text=str(found))


def wheel_of(path: Path, extras: str = "") -> Wanted:
    """A wheel on this machine.

    Raises:
        InvalidRequestError: it is named like none, or is rbee itself.
    """
    try:
        name, _, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise InvalidRequestError(f"'{path}' is no wheel: {error}.", param="package") from error
    return Wanted(name=_foreign(name, str(path)), path=path.absolute(), extras=extras)


def version_of(path: Path) -> str:
    """The version that the name of a wheel tells."""
    return str(parse_wheel_filename(path.name)[1])


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _at(path: Path, extras: str) -> Wanted:
    if path.is_dir() and not (path / "pyproject.toml").is_file() and not (path / "setup.py").is_file():
        raise InvalidRequestError(f"'{path}' has no pyproject.toml, so it is no package's source.", param="package")
    if not path.exists():
        raise InvalidRequestError(
            f"There is no '{path}'. For a package of an index write its name without a path.", param="package"
        )
    if path.suffix == ".whl":
        return wheel_of(path, extras)
    if path.is_file() and not path.name.endswith(_SOURCES):
        raise InvalidRequestError(
            f"'{path}' is neither a wheel nor the source of a package; build one: uv build --wheel", param="package"
        )
    return Wanted(name=None, path=path.absolute(), extras=extras)


def _foreign(name: str, given: str) -> str:
    found = canonicalize_name(name)
    if found == CORE:
        raise InvalidRequestError(
            f"{given!r} is rbee itself, which is not changed from here; name the package of a plugin.", param="package"
        )
    return found
