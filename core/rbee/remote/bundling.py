"""Making bundles of what this machine runs."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from rbee.builtin.plugin_packages.distributions import installed
from rbee.contract.errors import ConflictError, InvalidRequestError
from rbee.contract.version import __version__
from rbee.remote.bundle import MANIFEST, Bundle, BundleFile, Manifest, sha256_of
from rbee.remote.program import Part, environment_of, parts, platform_here, python_here
from rbee.remote.sources import PLATFORMS, built, fetched
from rbee.remote.wheels import python_of, repacked

Tell = Callable[[int, int], None]
"""Told how much is done and how much there is to do, in bytes or pieces."""

_PART = 1024 * 1024


def _nothing(_done: int, _total: int) -> None:
    """Nobody asks."""


def wheelhouse(
    cache: Path,
    plugins: Collection[str] | None = None,
    *,
    platform: str | None = None,
    python: str | None = None,
    tell: Tell = _nothing,
) -> Bundle:
    """The wheels of all that this machine runs; takes seconds at first, then what is in the cache.

    Args:
        cache: folder where wheels are kept.
        plugins: as `parts` takes them.
        platform: for which machines; None for those like this one.
        python: for which Python, as ``3.12``; None for this one.
        tell: told the wheels that are there, and of how many.

    Raises:
        NotFoundError: a plugin is not installed here.
        InvalidRequestError: no such platform is known.
        ConfigurationError, UnavailableError: a wheel cannot be made, or not fetched for that platform.
    """
    own = platform in {None, platform_here()} and python in {None, python_here()}
    if not own and platform is not None and platform not in PLATFORMS:
        raise InvalidRequestError(f"Platform {platform!r} is not known; it is one of {', '.join(PLATFORMS)}.")
    made_of = parts(plugins)
    found = _wheels(made_of, cache, None if own else (platform or platform_here(), python or python_here()), tell)
    return _bundle(made_of, found, platform or platform_here())


def described(cache: Path, plugins: Collection[str] | None = None) -> Bundle:
    """The same for a machine that gets from an index what came from one here: only the other wheels are in it.

    Args:
        cache: as for `wheelhouse`.
        plugins: likewise.

    Raises:
        NotFoundError, ConfigurationError: as `wheelhouse`.
    """
    made_of = parts(plugins)
    return _bundle(made_of, _wheels([one for one in made_of if one.local], cache, None, _nothing), platform_here())


def _bundle(made_of: Sequence[Part], found: Mapping[str, Path], platform: str) -> Bundle:
    files, places = [], {}
    for part in made_of:
        if part.name not in found:
            continue
        wheel = found[part.name]
        path = f"wheels/{wheel.name}"
        size, digest = wheel.stat().st_size, sha256_of(wheel)
        files.append(BundleFile(path=path, size=size, sha256=digest, package=part.pinned, local=part.local))
        places[path] = wheel
    pythons = {one for file in files if (one := python_of(file.name)) is not None}
    manifest = Manifest(
        version=__version__,
        environment=environment_of(made_of, {name: one.sha256 for name, one in zip(found, files, strict=True)}),
        platform=platform,
        python=min(pythons) if pythons else None,
        packages=tuple(part.pinned for part in made_of),
        files=tuple(files),
    )
    return Bundle(manifest=manifest, places=places)


def with_files(bundle: Bundle, more: Mapping[str, Path], models: Mapping[str, str]) -> Bundle:
    """The same with models.

    Args:
        bundle: the wheels.
        more: files by their paths in the bundle.
        models: of which model each is, by the same paths.
    """
    files = [
        BundleFile(path=path, size=place.stat().st_size, sha256=sha256_of(place), kind="model", model=models[path])
        for path, place in more.items()
    ]
    manifest = msgspec.structs.replace(bundle.manifest, files=(*bundle.manifest.files, *files))
    return Bundle(manifest=manifest, places={**bundle.places, **more})


def write(bundle: Bundle, target: Path, tell: Tell = _nothing) -> int:
    """Write a bundle, whole or not at all; returns its size in bytes.

    Args:
        bundle: what goes in.
        target: a folder, where it has no ending or is one; else a file.
        tell: told the bytes written, and of how many.

    Raises:
        ConflictError: there is a folder that is no bundle.
        InvalidRequestError: it cannot be written there.
    """
    as_folder = target.is_dir() or target.suffix != ".tar"
    if as_folder and target.is_dir() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise ConflictError(f"'{target}' is a folder with other things in it. Name one that is not there, or a .tar.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as work:
            made = Path(work) / target.name
            (_to_folder if as_folder else _to_file)(bundle, made, tell)
            if as_folder and target.is_dir():
                # What was there goes with the working folder.
                target.replace(Path(work) / "before")
            made.replace(target)
    except OSError as error:
        raise InvalidRequestError(f"The bundle cannot be written to '{target}': {error.strerror or error}.") from error
    return target.stat().st_size if target.is_file() else bundle.manifest.size


def _to_folder(bundle: Bundle, into: Path, tell: Tell) -> None:
    done = 0
    for file in bundle.manifest.files:
        place = into / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.places[file.path], place)
        done += file.size
        tell(done, bundle.manifest.size)
    into.mkdir(exist_ok=True)
    (into / MANIFEST).write_bytes(_manifest(bundle))


def _to_file(bundle: Bundle, into: Path, tell: Tell) -> None:
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as made:
        raw = _manifest(bundle)
        # First, so that what is in a large file can be said without reading it.
        made.addfile(_member(MANIFEST, len(raw)), io.BytesIO(raw))
        done = 0
        for file in bundle.manifest.files:
            with bundle.places[file.path].open("rb") as source:
                counted = _Counted(source, lambda count, before=done: tell(before + count, bundle.manifest.size))  # type: ignore[misc]
                made.addfile(_member(file.path, file.size), cast("BinaryIO", counted))
            done += file.size


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, source: BinaryIO, read: Callable[[int], None]) -> None:
        self._source = source
        self._read = read
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        part = self._source.read(size)
        self._count += len(part)
        self._read(self._count)
        return part


def _member(path: str, size: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(path)
    found.size = size
    found.mode = 0o644
    return found


def _manifest(bundle: Bundle) -> bytes:
    return msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=2) + b"\n"


def _wheels(made_of: Sequence[Part], cache: Path, elsewhere: tuple[str, str] | None, tell: Tell) -> dict[str, Path]:
    """The wheel of each part, in their order."""
    among = installed()
    found: dict[str, Path] = {}
    for part in made_of:
        if part.source is not None:
            found[part.name] = built(part.source, cache / "built" / part.name)
        elif elsewhere is None or part.local:
            found[part.name] = repacked(among[part.name], cache / "packed")
        tell(len(found), len(made_of))
    if elsewhere is not None:
        platform, python = elsewhere
        missing = [part.pinned for part in made_of if part.name not in found]
        folder = cache / f"{platform}-{python}"
        found.update(fetched(missing, folder, platform=platform, python=python))
        tell(len(found), len(made_of))
    return {part.name: found[part.name] for part in made_of}
