"""What the hub's library, and programs that use it, have fetched to this machine.

The layout: ``models--org--repo`` with ``refs/<branch>`` (a commit), ``snapshots/<commit>/<path>`` (links) and
``blobs/<sha256 or git id>`` (the bytes).  Nothing in it is ever changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rbee.contract import ModelFile

from rbee_huggingface.environment import cache_folder, offline
from rbee_huggingface.listing import LONGEST_PATH, MOST_FILES, Found, Listing
from rbee_huggingface.refusals import forbidden

_PREFIX: Final = "models--"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MOST_REPOSITORIES: Final = 10_000
_DEFAULT_BRANCH: Final = "main"


class HubCache:
    """The cache, where no request may be made: only what lies in it is there."""

    def listing(self, repository: str, revision: str | None) -> Listing:
        """A repository at a revision, with those of its files that are here.

        Raises:
            UnreachableError: it is not here.
        """
        place = _place(repository)
        commit = _commit(place, revision or _DEFAULT_BRANCH)
        files = {} if commit is None else dict(_files(place, commit))
        if commit is None or not files:
            raise forbidden(_variable(), f"'{repository}'" if revision is None else f"'{repository}@{revision}'")
        return Listing(
            repository=repository,
            revision=None if revision == _DEFAULT_BRANCH else revision,
            commit=commit,
            files=files,
        )

    def branches(self, repository: str) -> Sequence[str]:
        """Names of the branches of which something is here."""
        folder = _place(repository) / "refs"
        try:
            return sorted(path.name for path in folder.iterdir() if path.is_file())
        except OSError:
            return ()

    def small_file(self, listing: Listing, name: str, most: int) -> bytes | None:
        """A file's bytes; None when it is larger than `most`, or has gone."""
        path = _place(listing.repository) / "snapshots" / listing.commit / name
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except OSError:
            return None
        return data if len(data) <= most else None

    def search(self, text: str, limit: int) -> Sequence[Found]:
        """Repositories of which something is here and whose names hold a text."""
        words = text.lower().split()
        found: list[Found] = []
        try:
            with os.scandir(cache_folder()) as entries:
                for number, entry in enumerate(entries):
                    name = entry.name.removeprefix(_PREFIX).replace("--", "/")
                    if number >= _MOST_REPOSITORIES or len(found) >= limit:
                        break
                    if entry.name.startswith(_PREFIX) and all(word in name.lower() for word in words):
                        found.append(Found(repository=name))
        except OSError:
            return ()
        return sorted(found, key=lambda one: one.repository)


def held(repository: str, commit: str | None, file: ModelFile) -> Path | None:
    """The whole copy of a file that lies in the cache, None when there is none.  Never raises."""
    place = _place(repository)
    places = [place / "snapshots" / commit / file.name] if commit and _COMMIT.fullmatch(commit) else []
    if name := file.sha256 or file.git_oid:
        # The same bytes under another commit.
        places.append(place / "blobs" / name)
    for path in places:
        try:
            real = path.resolve(strict=True)
            if real.is_relative_to(place.resolve()) and real.is_file() and real.stat().st_size == file.size_bytes:
                return real
        except (OSError, RuntimeError, ValueError):
            continue
    return None


def _place(repository: str) -> Path:
    return cache_folder() / f"{_PREFIX}{repository.replace('/', '--')}"


def _variable() -> str:
    return offline() or "HF_HUB_OFFLINE"


def _commit(place: Path, revision: str) -> str | None:
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        with (place / "refs" / revision).open(encoding="ascii") as file:
            text = file.read(100).strip()
    except (OSError, ValueError):
        return None
    return text if _COMMIT.fullmatch(text) else None


def _files(place: Path, commit: str) -> Iterator[tuple[str, ModelFile]]:
    """Files of a snapshot; the names of their blobs are their checksums."""
    root = place / "snapshots" / commit
    count = 0
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder, name)
            told = path.relative_to(root).as_posix()
            count += 1
            if count > MOST_FILES or len(told) > LONGEST_PATH:
                return
            try:
                real = path.resolve(strict=True)
                size = real.stat().st_size
            except (OSError, RuntimeError):
                continue
            if not real.is_relative_to(place.resolve()):
                continue
            blob = real.name if real.parent.name == "blobs" else ""
            yield (
                told,
                ModelFile(
                    name=told,
                    size_bytes=size,
                    sha256=blob if _SHA256.fullmatch(blob) else None,
                    git_oid=blob if _COMMIT.fullmatch(blob) else None,
                ),
            )
