"""Repositories with branches and commits, and who may see them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from rbee.testing.hub.contents import Entry, Source, entry_of

MAIN: Final = "main"
Gate = Literal["auto", "manual", False]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub tells of a repository besides its files.

    Attributes:
        gated: its files are given to those who have accepted its terms; metadata to everybody.
        private: only those with a token of its owner know of it.
        tags: as they are searched for, ``gguf``, ``mlx``, ``license:mit``.
        library_name: what it is made for, ``transformers``, ``mlx``.
        pipeline_tag: what it does, ``text-generation``.
        downloads: of the last month.
        likes: of all time.
        gguf: what the hub has read in a GGUF file of it: ``architecture``, ``context_length``, ``total``.
        updated_at: when it last changed.
    """

    gated: Gate = False
    private: bool = False
    tags: tuple[str, ...] = ()
    library_name: str | None = None
    pipeline_tag: str | None = None
    downloads: int = 0
    likes: int = 0
    gguf: dict[str, Any] | None = None
    updated_at: datetime = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a repository's files.

    Attributes:
        sha: its id, 40 digits.
        files: by path.
    """

    sha: str
    files: Mapping[str, Entry]


class Repository:
    """One repository.

    Args:
        repo_id: ``org/name``.
        about: what the hub tells of it.
    """

    def __init__(self, repo_id: str, about: About) -> None:
        self.repo_id = repo_id
        self.about = about
        self.branches: dict[str, Commit] = {}
        self._commits: dict[str, Commit] = {}

    def commit(self, revision: str, files: Mapping[str, Source | None]) -> Commit:
        """Add files to a branch, replace them, or remove those given as None; a new branch begins empty."""
        before = self.branches.get(revision)
        entries = dict(before.files) if before is not None else {}
        for path, source in files.items():
            if source is None:
                entries.pop(path, None)
            else:
                entries[path] = entry_of(path, source)
        text = "\n".join(
            [self.repo_id, revision, str(len(self._commits)), *(f"{e.path} {e.oid}" for e in entries.values())]
        )
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        commit = Commit(sha=sha, files=dict(sorted(entries.items())))
        self._commits[sha] = commit
        self.branches[revision] = commit
        return commit

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch's name or a commit's id means."""
        return self.branches.get(revision) or self._commits.get(revision)


class Shelf:
    """All repositories of a hub; may be changed while it serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._repositories: dict[str, Repository] = {}
        self._moved: dict[str, str] = {}

    def add(self, repo_id: str, revision: str, files: Mapping[str, Source | None], about: About | None) -> Commit:
        """Commit to a repository, which is made when there is none; `about` replaces what was told of it."""
        with self._lock:
            repository = self._repositories.get(repo_id)
            if repository is None:
                repository = self._repositories[repo_id] = Repository(repo_id, about or About())
            elif about is not None:
                repository.about = about
            return repository.commit(revision, files)

    def remove(self, repo_id: str) -> None:
        """Forget a repository; harmless when there is none."""
        with self._lock:
            self._repositories.pop(repo_id, None)

    def move(self, repo_id: str, to: str) -> None:
        """Give a repository another name; the old one leads there."""
        with self._lock:
            repository = self._repositories.pop(repo_id)
            repository.repo_id = to
            self._repositories[to] = repository
            self._moved[repo_id] = to

    def get(self, repo_id: str) -> Repository | None:
        """The repository of that name."""
        with self._lock:
            return self._repositories.get(repo_id)

    def moved_to(self, repo_id: str) -> str | None:
        """The present name of a repository that once had this one."""
        with self._lock:
            return self._moved.get(repo_id)

    def blob(self, sha256: str) -> tuple[Repository, Entry] | None:
        """The file with this content that is kept beside git, and a repository it is in."""
        for repository in self:
            for commit in list(repository._commits.values()):  # noqa: SLF001 - of this module
                for entry in commit.files.values():
                    if entry.large and entry.sha256 == sha256:
                        return repository, entry
        return None

    def __iter__(self) -> Iterator[Repository]:
        with self._lock:
            return iter(list(self._repositories.values()))
