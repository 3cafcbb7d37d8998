"""A bundle: all that a machine without a package index needs to run this very rbee, with checksums."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from rbee.contract.errors import InvalidRequestError, NotFoundError

MANIFEST = "manifest.json"
FORMAT = 1
_LARGEST_MANIFEST = 4 * 1024 * 1024
_PART = 1024 * 1024

Kind = Literal["wheel", "model", "tool"]


class BundleFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bundle.

    Attributes:
        path: within it, with ``/``.
        size: in bytes.
        sha256: hexadecimal.
        kind: what it is for.
        package: ``name==version`` of a wheel.
        local: of a wheel: it comes from the machine that made the bundle, and no package index is asked for it.
        model: of a model's file: by which name it was asked for.
    """

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    kind: Kind = "wheel"
    package: str | None = None
    local: bool = False
    model: str | None = None

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition("/")[2]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says of itself.

    Attributes:
        format: of this file.
        version: of rbee.
        environment: name of the environment that its wheels make, ``0.1.0-1a2b3c4d5e``.
        platform: for which machines: ``linux-x86_64``.
        python: for which Python: ``3.12``; None for any that rbee runs on.
        packages: ``name==version``, by name; all of them, so that nothing is to be looked for elsewhere.
        files: all but the manifest.
    """

    format: int = FORMAT
    version: str
    environment: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}\Z")]
    platform: str
    python: str | None
    packages: tuple[str, ...]
    files: tuple[BundleFile, ...]

    def of(self, kind: Kind) -> tuple[BundleFile, ...]:
        """Its files of a kind."""
        return tuple(one for one in self.files if one.kind == kind)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle whose files lie on this machine.

    Attributes:
        manifest: what it says.
        places: where each file is, by its path in the bundle.
    """

    manifest: Manifest
    places: dict[str, Path]


def sha256_of(path: Path, read: Callable[[int], None] = lambda _count: None) -> str:
    """SHA-256 of a file; `read` is told the bytes as they are read."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while part := source.read(_PART):
            digest.update(part)
            read(len(part))
    return digest.hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The manifest of a bundle, which is a folder or a file.

    Raises:
        NotFoundError: there is nothing at that path.
        InvalidRequestError: it is no bundle, or one of a newer rbee.
    """
    if path.is_dir():
        try:
            raw = (path / MANIFEST).read_bytes()
        except OSError as error:
            raise _no_bundle(path, f"'{MANIFEST}' in it: {error.strerror}") from error
        return _read(path, raw)
    with _tar(path) as found:
        return _read(path, _first(path, found))


@contextlib.contextmanager
def opened(path: Path, scratch: Path) -> Iterator[Bundle]:
    """A bundle with its files on this machine, for as long as the context is open; every file is as it was made.

    Args:
        path: of a folder, which is used where it is, or of a file, which is unpacked.
        scratch: folder for what is unpacked.

    Raises:
        NotFoundError, InvalidRequestError: as `read_manifest`; or a file in it is damaged or missing.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        bundle = Bundle(manifest=manifest, places={one.path: path / one.path for one in manifest.files})
        for one in manifest.files:
            check_file(path, one, bundle.places[one.path])
        yield bundle
        return
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".bundle-") as work:
        yield _unpacked(path, Path(work))


def verified(path: Path, read: Callable[[int], None] = lambda _count: None) -> Manifest:
    """Look at every file of a bundle.

    Args:
        path: folder or file.
        read: told the bytes as they are read.

    Raises:
        NotFoundError, InvalidRequestError: as `opened`.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        for one in manifest.files:
            check_file(path, one, path / one.path, read)
        return manifest
    with _tar(path) as found:
        manifest = _read(path, _first(path, found))
        expected = {one.path: one for one in manifest.files}
        for member in _members(path, found):
            file = expected.pop(member.name, None)
            source = found.extractfile(member)
            if file is None or source is None:
                raise _damaged(path, member.name, "it is not in the manifest")
            digest, size = hashlib.sha256(), 0
            while part := source.read(_PART):
                digest.update(part)
                size += len(part)
                read(len(part))
            if (size, digest.hexdigest()) != (file.size, file.sha256):
                raise _damaged(path, member.name, "it is not as it was made")
        for missing in expected:
            raise _damaged(path, missing, "it is missing")
        return manifest


def check_file(bundle: Path, file: BundleFile, place: Path, read: Callable[[int], None] = lambda _count: None) -> None:
    """That a file is as it was made.

    Raises:
        InvalidRequestError: it is not.
    """
    try:
        if place.stat().st_size != file.size or sha256_of(place, read) != file.sha256:
            raise _damaged(bundle, file.path, "it is not as it was made")
    except OSError as error:
        raise _damaged(bundle, file.path, error.strerror or str(error)) from error


def _unpacked(path: Path, into: Path) -> Bundle:
    with _tar(path) as found:
        manifest = _read(path, _first(path, found))
        expected = {one.path: one for one in manifest.files}
        places = {}
        for member in _members(path, found):
            file, source = expected.get(member.name), found.extractfile(member)
            if file is None or source is None:
                raise _damaged(path, member.name, "it is not in the manifest")
            place = into / file.path
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with place.open("wb") as target:
                while part := source.read(_PART):
                    target.write(part)
            check_file(path, file, place)
            places[file.path] = place
    for missing in expected.keys() - places.keys():
        raise _damaged(path, missing, "it is missing")
    return Bundle(manifest=manifest, places=places)


@contextlib.contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as found:
            yield found
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no bundle '{path}'. `rbee bundle build` makes one.") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _no_bundle(path, str(error)) from error


def _first(path: Path, found: tarfile.TarFile) -> bytes:
    member = found.next()
    source = None if member is None or member.name != MANIFEST else found.extractfile(member)
    if source is None:
        raise _no_bundle(path, f"it does not begin with '{MANIFEST}'")
    return source.read(_LARGEST_MANIFEST + 1)


def _members(path: Path, found: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := found.next()) is not None:
        if not member.isfile():
            raise _damaged(path, member.name, "it is no plain file")
        yield member


def _read(path: Path, raw: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise _no_bundle(path, str(error)) from error
    if manifest.format != FORMAT:
        raise InvalidRequestError(
            f"Bundle '{path}' is of format {manifest.format}, and this rbee reads {FORMAT}. Make it anew with this one."
        )
    for one in manifest.files:
        parts = PurePosixPath(one.path).parts
        if one.path.startswith("/") or ".." in parts or "\\" in one.path:
            raise _damaged(path, one.path, "it leads out of the bundle")
    return manifest


def _no_bundle(path: Path, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"'{path}' is no bundle of rbee: {why}. `rbee bundle build` makes one.")


def _damaged(path: Path, name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"Bundle '{path}' is damaged: '{name}': {why}. Copy it anew, or build it again.")
