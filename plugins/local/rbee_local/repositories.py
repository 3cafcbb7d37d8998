"""Stores whose models are ``org/repo``: the cache of the hub's library, and LM Studio's folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rbee.contract import ModelVariant
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import models_among, parts_of, weight_files
from rbee.contract.model_refs import quantization_in

from rbee_local.grammar import REPOSITORIES, REPOSITORY
from rbee_local.heads import Heads
from rbee_local.places import hub_caches, lm_studio_folders
from rbee_local.variants import folder_variant, gguf_variant

PREFIX = "models--"
MOST_REPOSITORIES = 2000
MOST_FILES = 2000
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A folder with the files of one repository.

    Attributes:
        repository: ``org/repo``.
        folder: with the files.
        root: which the files, their links followed, must not leave.
        revision: the commit they are of; None where there is none.
    """

    repository: str
    folder: Path
    root: Path
    revision: str | None = None


def places() -> Iterator[Place]:
    """All repositories of this machine, those of the hub's cache first."""
    for root in hub_caches():
        for name in _names(root):
            if name.startswith(PREFIX) and (place := _cached(root, name)):
                yield place
    for root in lm_studio_folders():
        for publisher in _names(root):
            for name in _names(root / publisher):
                if REPOSITORY.fullmatch(f"{publisher}/{name}") and _is_folder(root / publisher / name):
                    yield Place(repository=f"{publisher}/{name}", folder=root / publisher / name, root=root)


def places_of(repository: str) -> Iterator[Place]:
    """As `places`, of one repository."""
    for root in hub_caches():
        if place := _cached(root, PREFIX + repository.replace("/", "--")):
            yield place
    if "/" in repository:
        for root in lm_studio_folders():
            if _is_folder(root / repository):
                yield Place(repository=repository, folder=root / repository, root=root)


def variants_in(place: Place, heads: Heads) -> list[ModelVariant]:
    """The models in a repository's folder that some engine may open; damaged ones are left out."""
    base = f"{REPOSITORIES}:{place.repository}"
    found: list[ModelVariant] = []
    try:
        weights = weight_files(place.folder)
        if weights and all(_within(place, path) for path in weights):
            head = heads.folder(place.folder, weights)
            found.append(folder_variant(base, base, place.folder, weights, head, place.revision))
    except (ModelFileError, OSError):
        pass
    models = _ggufs(place)
    words = Counter(quantization_in(model.stem) for model in models)
    for model in models:
        word = quantization_in(model.stem)
        # A word that names two files names neither.
        told = f":{word}" if word and words[word] == 1 else f"::{model.relative_to(place.folder).as_posix()}"
        try:
            parts = parts_of(model)
            if all(_within(place, part) for part in parts):
                found.append(gguf_variant(base + told, base + told, parts, heads.peek(parts[0]), place.revision))
        except (ModelFileError, OSError):
            continue
    return found


def _cached(root: Path, name: str) -> Place | None:
    """A repository of the hub's cache, as its main branch was fetched last."""
    repository = name.removeprefix(PREFIX).replace("--", "/")
    snapshots = root / name / "snapshots"
    if not REPOSITORY.fullmatch(repository):
        return None
    try:
        with (root / name / "refs" / "main").open(encoding="ascii") as file:
            commit = file.read(100).strip()
    except (OSError, ValueError):
        there = _names(snapshots)
        commit = there[0] if len(there) == 1 else ""
    if not _COMMIT.fullmatch(commit) or not _is_folder(snapshots / commit):
        return None
    return Place(repository=repository, folder=snapshots / commit, root=root / name, revision=commit)


def _ggufs(place: Place) -> list[Path]:
    files: list[Path] = []
    count = 0
    for folder, inner, names in os.walk(place.folder):
        inner.sort()
        count += len(names) + len(inner)
        if count > MOST_FILES:
            break
        files.extend(Path(folder, name) for name in names if name.lower().endswith(".gguf"))
    return sorted(
        model
        for parent in {file.parent for file in files}
        for model in models_among([f for f in files if f.parent == parent])
    )


def _within(place: Place, path: Path) -> bool:
    try:
        real = path.resolve(strict=True)
        return real.is_file() and real.is_relative_to(place.root.resolve())
    except (OSError, RuntimeError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    """Names in a folder, sorted; none when it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(MOST_REPOSITORIES), strict=False))
    except OSError:
        return []
