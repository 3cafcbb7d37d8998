"""Caches of conversations on disk: one file each, with a sidecar that says what it is of."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rbee.contract import LoadSpec
from rbee.contract.own_files import remove_file, write_whole

from rbee_llamacpp.options import adapters

log = logging.getLogger(__name__)

LEFTOVER_S = 3600.0
"""Age from which half of a pair, or a file that is not complete, is nobody's any more."""

_CACHE, _SIDECAR, _PART = ".kv", ".json", ".part"


class Entry(msgspec.Struct, frozen=True):
    """One conversation's cache.

    Attributes:
        name: of its file in the folder.
        fingerprint: of what it was computed with.
        chain: of the text that it holds, see `rbee_llamacpp.chains`.
    """

    name: str
    fingerprint: str
    chain: tuple[str, ...]


class SessionFiles:
    """The folder, shared by all workers of the engine on the machine: each uses what was computed as it would.

    Args:
        folder: made when it is not there, for this user alone.
        limit_bytes: of all files together; the ones that nobody has used for longest go.
        fingerprint: of what this worker computes with.
    """

    def __init__(self, folder: Path, limit_bytes: int, fingerprint: str) -> None:
        self.folder = folder
        self._limit = limit_bytes
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._known: dict[str, Entry] = {}
        self._seen: int | None = None

    def open(self) -> None:
        """Make the folder and clear away what was left behind.

        Raises:
            OSError: it cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self._clear()
        self.prune()

    def best(self, chain: Sequence[str], least: int) -> tuple[Entry, int] | None:
        """The cache that holds the longest beginning of a text, and how much; None for less than `least`."""
        found = max(((one, shared(one.chain, chain)) for one in self._entries()), key=lambda one: one[1], default=None)
        return found if found is not None and found[1] >= least else None

    def part(self) -> str:
        """Name for a file that is about to be written."""
        return f"{uuid.uuid4().hex}{_PART}"

    def keep(self, part: str, chain: Sequence[str]) -> None:
        """Take a file that was written; what it holds more of is no longer needed beside it.

        Raises:
            OSError: it cannot be kept.
        """
        path = self.folder / part
        path.chmod(0o600)
        entry = Entry(path.stem, self._fingerprint, tuple(chain))
        before = [one for one in self._entries() if one.chain == entry.chain[: len(one.chain)]]
        # Entered under its name before it is there: a file without a sidecar would be nobody's.
        sidecar = self.folder / f"{entry.name}{_SIDECAR}"
        write_whole(sidecar, msgspec.json.encode(entry))
        sidecar.chmod(0o600)
        path.rename(path.with_suffix(_CACHE))
        self._seen = None  # the folder's clock is too coarse to tell of two changes in a row
        for one in before:
            self.remove(one)
        self.prune()

    def file_of(self, entry: Entry) -> str:
        """Name of its file, which counts as used now."""
        name = f"{entry.name}{_CACHE}"
        with contextlib.suppress(OSError):
            os.utime(self.folder / name)
        return name

    def remove(self, entry: Entry) -> None:
        """Delete one; harmless when it has gone."""
        self._delete(entry.name)

    def drop(self, part: str) -> None:
        """Delete a file that came to nothing."""
        with contextlib.suppress(OSError):
            remove_file(self.folder / part)

    def prune(self) -> None:
        """Delete the caches that nobody has used for longest until the rest is within the limit."""
        files = []
        for path in self.folder.glob(f"*{_CACHE}"):
            with contextlib.suppress(OSError):
                told = path.stat()
                files.append((told.st_mtime_ns, told.st_size, path.stem))
        total = sum(size for _, size, _ in files)
        for _, size, name in sorted(files):
            if total <= self._limit:
                return
            self._delete(name)
            total -= size

    def _delete(self, name: str) -> None:
        self._seen = None
        try:
            remove_file(self.folder / f"{name}{_CACHE}")
            remove_file(self.folder / f"{name}{_SIDECAR}")
        except OSError as error:
            log.warning("the cache '%s' cannot be deleted: %s", self.folder / name, error)

    def _entries(self) -> list[Entry]:
        """Those that were computed as this worker would; other workers add and delete some at any time."""
        with self._lock:
            changed = self.folder.stat().st_mtime_ns
            if changed != self._seen:
                names = {path.stem for path in self.folder.glob(f"*{_CACHE}")}
                self._known = {name: self._known.get(name) or self._read(name) for name in names}
                self._seen = changed
            return [one for one in self._known.values() if one.fingerprint == self._fingerprint]

    def _read(self, name: str) -> Entry:
        try:
            return msgspec.json.decode((self.folder / f"{name}{_SIDECAR}").read_bytes(), type=Entry)
        except (OSError, msgspec.DecodeError):
            return Entry(name, "", ())

    def _clear(self) -> None:
        now = time.time()
        for path in self.folder.iterdir():
            other = {_CACHE: _SIDECAR, _SIDECAR: _CACHE}.get(path.suffix)
            alone = other is not None and not path.with_suffix(other).exists()
            with contextlib.suppress(OSError):
                if (alone or path.suffix == _PART) and now - path.lstat().st_mtime > LEFTOVER_S:
                    remove_file(path)


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many links two chains have in common from their beginning."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def fingerprint(version: str, context: int | None, spec: LoadSpec) -> str:
    """Digest of all that a cache depends on; another one makes caches useless.

    Args:
        version: of the library.
        context: tokens a slot.
        spec: what is loaded.

    Raises:
        OSError: a file has gone.
    """
    scales = [(one.path, one.scale) for one in adapters(spec)]
    paths = [Path(path).resolve() for path in (spec.model_path or "", *(path for path, _ in scales))]
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    facts = (version, context, spec.backend, scales, files)
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]
