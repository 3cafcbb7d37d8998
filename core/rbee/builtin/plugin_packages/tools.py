"""Installers: uv where there is one, else pip.  Both say what they would do, and do exactly what they are told."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from rbee.builtin.plugin_packages.place import Place, changeable
from rbee.builtin.plugin_packages.wanted import Wanted, sha256_of, version_of
from rbee.builtin.python_workers.installer import run
from rbee.contract.errors import ConfigurationError, PluginError

ONLY_WHEELS = ("--only-binary", ":all:")
"""A source would run its own code to be built, before anybody has seen what it is."""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that is to be installed.

    Attributes:
        name: canonical name of the distribution.
        version: of it.
        file: name of the wheel.
        sha256: of the wheel, in hexadecimal digits.
        replaces: the version that is there now; None where there is none.
        path: where it lies, when it was given or built; None when it is fetched from an index.
    """

    name: str
    version: str
    file: str
    sha256: str
    replaces: str | None = None
    path: Path | None = None

    @property
    def pinned(self) -> str:
        """A line of requirements that fits this file and no other."""
        which = f"{self.name}=={self.version}" if self.path is None else f"{self.name} @ {self.path.as_uri()}"
        return f"{which} --hash=sha256:{self.sha256}"


class Nobody:
    """For `run`, where only Ctrl+C ends anything."""

    cancelled = False

    def raise_if_cancelled(self) -> None:
        """Never."""


class Tool(ABC):
    """An installer at work on an environment.  Blocks, and ends what it has started when it is interrupted.

    Args:
        where: the environment.
        folder: of its own, where it also runs, so that no project's settings are in its way.
    """

    name: str

    def __init__(self, where: Place, folder: Path) -> None:
        self._where = where
        self._folder = folder

    @abstractmethod
    def build(self, source: Path, into: Path) -> None:
        """Build the wheel of a source."""

    @abstractmethod
    def plan(self, wanted: Sequence[Wanted], kept: Mapping[str, str]) -> list[Artefact]:
        """What would be installed, without installing or building anything.

        Args:
            wanted: wheels and names.
            kept: versions of what must stay as it is.
        """

    @abstractmethod
    def stage(self, requirements: Path, into: Path, say: Callable[[str], None]) -> None:
        """Fetch and unpack into a folder beside; every file must match its hash."""

    @abstractmethod
    def install(self, requirements: Path) -> None:
        """Install; every file must match its hash."""

    @abstractmethod
    def uninstall(self, name: str) -> None:
        """Uninstall one distribution."""

    def _constraints(self, kept: Mapping[str, str]) -> Path:
        path = self._folder / "constraints.txt"
        path.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="utf-8")
        return path

    def _run(self, command: Sequence[str], say: Callable[[str], None] = lambda _line: None) -> list[str]:
        """Run to the end and return the lines."""
        said: list[str] = []

        def heard(text: str) -> None:
            said.append(text)
            if text.startswith("Downloading"):
                say(text)

        run(command, heard, Nobody(), folder=self._folder)
        return said


def tool_of(where: Place, folder: Path) -> Tool:
    """The installer of an environment.

    Raises:
        ConfigurationError: there is none, or the environment cannot be changed.
    """
    from rbee.builtin.plugin_packages.pip_tool import Pip
    from rbee.builtin.plugin_packages.uv_tool import Uv

    changeable(where)
    beside = where.scripts / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is not None:
        return Uv(uv, where, folder)
    if importlib.util.find_spec("pip") is not None:
        return Pip(where, folder)
    raise ConfigurationError(
        "Plugins are installed by uv or pip, and neither is here. "
        f"Bring one and try again: {shlex.quote(where.python)} -m ensurepip"
    )


def given_artefact(one: Wanted, replaces: str | None) -> Artefact:
    """Of a wheel on this machine."""
    if one.name is None or one.path is None:
        raise PluginError(f"{one.text!r} is no wheel on this machine.")
    return Artefact(
        name=one.name,
        version=version_of(one.path),
        file=one.path.name,
        sha256=sha256_of(one.path),
        replaces=replaces,
        path=one.path,
    )


def file_of(url: str) -> str:
    """Name of the file at an address."""
    return unquote(urlsplit(url).path).rpartition("/")[2]
