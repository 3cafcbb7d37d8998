"""Wheels of what is installed here, made without a package index: another machine gets the same files."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackagePath
from pathlib import Path, PurePosixPath

from packaging.tags import Tag, parse_tag

from rbee.contract.errors import ConfigurationError

_OURS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
"""Files beside the metadata that an installer wrote about its own work."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""The same files make the same wheel, whenever they were installed."""

_LEVEL = 3
_PART = 1024 * 1024


def repacked(one: Distribution, into: Path) -> Path:
    """The wheel that a distribution was installed from, but for what its installer added.

    Args:
        one: installed, not as an editable one.
        into: folder of wheels; one that is there already under that name is taken as it is.

    Raises:
        ConfigurationError: files of it are missing, or it does not say what it is made of.
    """
    name = one.metadata["Name"]
    info = _info_folder(one)
    target = into / f"{info.removesuffix('.dist-info')}-{_tags(one)}.whl"
    if target.is_file():
        return target
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    record: list[tuple[str, str, str]] = []
    descriptor, partial = tempfile.mkstemp(dir=into, prefix=".making-")
    try:
        with os.fdopen(descriptor, "wb") as raw, zipfile.ZipFile(raw, "w") as made:
            for path, inside in _files(one, info):
                try:
                    record.append(_add(made, path, inside))
                except OSError as error:
                    raise ConfigurationError(
                        f"Package {name!r} of this machine is not whole: '{path}': {error.strerror}. Install it anew."
                    ) from error
            table = io.StringIO()
            csv.writer(table, lineterminator="\n").writerows([*record, (f"{info}/RECORD", "", "")])
            made.writestr(_entry(f"{info}/RECORD", 0o644), table.getvalue(), compresslevel=_LEVEL)
        Path(partial).replace(target)
    finally:
        Path(partial).unlink(missing_ok=True)
    return target


def tags_of(wheel: str) -> frozenset[Tag]:
    """For which Pythons and systems a wheel is, by its file name."""
    return parse_tag("-".join(wheel.removesuffix(".whl").split("-")[-3:]))


def python_of(wheel: str) -> str | None:
    """The one Python that a wheel is for, as ``3.12``; None where it is for that and later ones, or for any."""
    found: set[str] = set()
    for tag in tags_of(wheel):
        if tag.interpreter.startswith("py") or tag.abi == "abi3":
            return None
        found.add(tag.interpreter)
    digits = min(found).removeprefix("cp") if found else ""
    return f"{digits[0]}.{digits[1:]}" if digits.isdecimal() else None


def _info_folder(one: Distribution) -> str:
    for path in one.files or ():
        if path.name == "METADATA" and path.parent.name.endswith(".dist-info"):
            return path.parent.name
    raise ConfigurationError(
        f"Package {one.metadata['Name']!r} of this machine does not say which files it has. Install it anew with uv or "
        "pip."
    )


def _tags(one: Distribution) -> str:
    lines = (one.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip().split("-") for line in lines if line.startswith("Tag:")]
    if not tags:
        return "py3-none-any"
    return "-".join(".".join(dict.fromkeys(tag[part] for tag in tags)) for part in range(3))


def _files(one: Distribution, info: str) -> Iterator[tuple[Path, str]]:
    """Each file with its place in the wheel."""
    scripts = {point.name for point in one.entry_points if point.group in {"console_scripts", "gui_scripts"}}
    data = f"{info.removesuffix('.dist-info')}.data"
    for path in sorted(one.files or ()):
        if path.suffix == ".pyc" or (path.parent.name == info and path.name in _OURS):
            continue
        place = Path(str(one.locate_file(path)))
        folders = path.parts[:-1]
        if ".." not in folders and folders[:1] != ("bin",):
            yield place, path.as_posix()
        elif folders[-1] != "bin":
            yield place, f"{data}/data/{_below(path)}"
        elif path.name not in scripts:
            yield place, f"{data}/scripts/{path.name}"


def _below(path: PackagePath) -> PurePosixPath:
    """A place in an environment's folder from one that is told as seen from its packages."""
    return PurePosixPath(*(part for part in path.parts if part != ".."))


def _add(made: zipfile.ZipFile, path: Path, inside: str) -> tuple[str, str, str]:
    digest, size = hashlib.sha256(), 0
    executable = path.stat().st_mode & stat.S_IXUSR
    with path.open("rb") as source, made.open(_entry(inside, 0o755 if executable else 0o644), "w") as target:
        while part := source.read(_PART):
            digest.update(part)
            size += len(part)
            target.write(part)
    told = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    return inside, f"sha256={told}", str(size)


def _entry(inside: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(inside, _DATE)
    entry.external_attr = (stat.S_IFREG | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    return entry
