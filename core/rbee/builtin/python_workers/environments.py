"""The folders of engines: one a name, with a record that points to the build in use, so that it changes at once.

::

    workers/python/mill/engine.json           which build is in use, and what it brought
    workers/python/mill/build-1a2b3c4d/       requirements.txt (versions and hashes) and venv/

A virtual environment holds its own path in many files and cannot be moved, so each build has its last place from the
beginning, and is nobody's until the record names it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import site
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from rbee.contract.errors import InvalidRequestError, PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.worker_vendor import EngineEnvironment

RECORD = "engine.json"
REQUIREMENTS = "requirements.txt"

_VENV = "venv"
_LINK = "rbee.pth"
_BUILD = "build-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LARGEST_RECORD = 1024 * 1024


class EngineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What ``engine.json`` holds.

    Attributes:
        package: the requirement that was installed.
        build: folder of the build in use.
        python: version of Python it was made for, as ``3.11``.
        engines: what it brought, as it told of itself then.
        installed_at: when.
    """

    package: str
    build: str
    python: str
    engines: tuple[EngineInfo, ...]
    installed_at: datetime


class InstalledEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's folder as it is found.

    Attributes:
        name: of the folder.
        folder: where it is.
        package: as in its record; None when that cannot be read.
        environment: what the hive is told.
    """

    name: str
    folder: Path
    package: str | None
    environment: EngineEnvironment


def running_python() -> str:
    """Version of the Python that runs, as far as packages depend on it."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def checked_name(worker: str) -> str:
    """The name, when it can be a folder's.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not _NAME.fullmatch(worker):
        raise InvalidRequestError(
            f"{worker!r} cannot be the name of a worker: it is letters, digits, '-' and '_', 64 at most.",
            param="worker",
        )
    return worker


def installed(root: Path) -> Iterator[InstalledEnvironment]:
    """Every engine with a record, by name; one that cannot be used says why."""
    for path in sorted(root.glob(f"*/{RECORD}")):
        folder = path.parent
        if not _NAME.fullmatch(folder.name):
            continue
        anew = _anew(folder.name)
        try:
            record = _read(path)
            anew = _anew(folder.name, record.package)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            nothing = EngineInfo(
                name=folder.name, version=None, formats=(), backends=(), capabilities=(), available=False
            )
            yield InstalledEnvironment(
                name=folder.name,
                folder=folder,
                package=None,
                environment=EngineEnvironment(
                    python="", engines=(nothing,), reason=f"its record '{path}' cannot be read ({error}); {anew}"
                ),
            )
            continue
        python = interpreter(folder / record.build)
        reason = None
        if record.python != running_python():
            reason = f"it was installed for Python {record.python}, and rbee runs on {running_python()}; {anew}"
        elif not python.exists():
            reason = f"there is no '{python}' any more; {anew}"
        yield InstalledEnvironment(
            name=folder.name,
            folder=folder,
            package=record.package,
            environment=EngineEnvironment(python=str(python), engines=record.engines, reason=reason),
        )


def begin(root: Path, worker: str) -> Path:
    """A fresh folder for a build, in its last place.

    Raises:
        PluginError: it cannot be made.
    """
    build = root / checked_name(worker) / f"{_BUILD}{uuid.uuid4().hex[:8]}"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        build.mkdir(parents=True)
    except OSError as error:
        raise PluginError(f"Folder '{build}' cannot be made: {error.strerror}. Make '{root}' writable.") from error
    return build


def interpreter(build: Path) -> Path:
    """The Python of a build."""
    return build / _VENV / "bin" / "python"


def link(build: Path) -> None:
    """Let a build see rbee's own packages behind its own; changes nothing where it does already.

    rbee is on no index, and may be an editable install: so a line for each folder of packages of this program has
    `site` add it as at the start of Python, with the lines that lie there.  What the engine brought comes first.
    """
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    lines = "".join(f"import site; site.addsitedir({folder!r})\n" for folder in folders if Path(folder).is_dir())
    venv = str(build / _VENV)
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": venv, "platbase": venv}))
    file = packages / _LINK
    if not file.is_file() or file.read_text(encoding="utf-8") != lines:
        _write(file, lines.encode())


def linked(one: InstalledEnvironment) -> EngineEnvironment:
    """What the hive is told of an environment, which sees rbee's packages where they are now, or says why not."""
    environment = one.environment
    if environment.reason is not None:
        return environment
    try:
        link(Path(environment.python).parents[2])
    except (OSError, ValueError) as error:
        why = f"its environment cannot be led to rbee ({error}); {_anew(one.name, one.package)}"
        return msgspec.structs.replace(environment, reason=why)
    return environment


def publish(build: Path, record: EngineRecord) -> None:
    """From now on this build is the engine's."""
    _write(build.parent / RECORD, msgspec.json.format(msgspec.json.encode(record)))


def sweep(root: Path) -> None:
    """Delete builds that no record names: of installs that were cut off."""
    for folder in root.glob("*/"):
        if not _NAME.fullmatch(folder.name) or folder.is_symlink():
            continue
        used = None
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            used = _read(folder / RECORD).build
        for build in folder.glob(f"{_BUILD}*"):
            if build.name != used:
                shutil.rmtree(build, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove(folder: Path) -> None:
    """Delete an engine's folder: first it is nobody's, then it goes.

    Raises:
        PluginError: it cannot be deleted.
    """
    try:
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise PluginError(f"Folder '{folder}' cannot be deleted: {error}. Delete it by hand.") from error


def _anew(name: str, package: str | None = None) -> str:
    """What a person does about a broken one."""
    by_package = "" if package is None else f" --package {shlex.quote(package)}"
    return f"install it anew: rbee worker remove {name} && rbee worker install {name}{by_package}"


def _read(path: Path) -> EngineRecord:
    with path.open("rb") as file:
        record = msgspec.json.decode(file.read(_LARGEST_RECORD), type=EngineRecord)
    if not record.build.startswith(_BUILD) or Path(record.build).name != record.build:
        raise ValueError(f"{record.build!r} is no folder of a build")
    return record


def _write(path: Path, content: bytes) -> None:
    """Put a file in place, whole or not at all."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
