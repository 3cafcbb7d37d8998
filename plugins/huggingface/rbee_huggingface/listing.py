"""What the hub, or its cache, tells of a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from rbee.contract import ModelFile
from rbee.contract.errors import ModelFileError

MOST_FILES: Final = 20_000
LONGEST_PATH: Final = 1024
LONGEST_PART: Final = 255


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at one commit.

    Attributes:
        repository: ``org/repo``, as the hub writes it.
        revision: branch, tag or commit that was asked for; None for the default branch.
        commit: 40 digits that never mean anything else.
        files: by path.
        tags: the hub's.
        library_name: what the repository is made for.
        pipeline_tag: what the model does.
        gguf: what the hub has read in one of its GGUF files.
    """

    repository: str
    revision: str | None
    commit: str
    files: Mapping[str, ModelFile]
    tags: frozenset[str] = frozenset()
    library_name: str | None = None
    pipeline_tag: str | None = None
    gguf: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A repository in the answer to a search.

    Attributes:
        repository: ``org/repo``.
        tags: the hub's.
        library_name: what the repository is made for.
        pipeline_tag: what the model does.
        downloads: of the last month.
        likes: of all time.
        updated_at: when it last changed.
        gated: terms must be accepted before its files can be had.
    """

    repository: str
    tags: frozenset[str] = frozenset()
    library_name: str | None = None
    pipeline_tag: str | None = None
    downloads: int | None = None
    likes: int | None = None
    updated_at: datetime | None = None
    gated: bool = False


class Library(Protocol):
    """Where repositories are looked up: the hub, or its cache."""

    def listing(self, repository: str, revision: str | None) -> Listing:
        """A repository at a revision.

        Raises:
            ModelNotFoundError: there is none.
            UnreachableError: it cannot be found out.
        """

    def branches(self, repository: str) -> Sequence[str]:
        """Names of its branches.

        Raises:
            ModelNotFoundError, UnreachableError: as for `listing`.
        """

    def small_file(self, listing: Listing, name: str, most: int) -> bytes | None:
        """A file's bytes; None when it is larger than `most`.

        Raises:
            PermissionDeniedError: it is gated.
            UnreachableError: it cannot be read.
        """

    def search(self, text: str, limit: int) -> Sequence[Found]:
        """Repositories whose names hold a text, the most downloaded first.

        Raises:
            UnreachableError: it cannot be found out.
        """


def checked_path(repository: str, path: str) -> str:
    """A file's path, as a repository has it.

    Raises:
        ModelFileError: it leads out of the folder of the model, or no system takes it.
    """
    parts = path.split("/")
    bad = len(path) > LONGEST_PATH or "\\" in path or not path.isprintable()
    if bad or any(part in {"", ".", ".."} or len(part.encode("utf-8", "ignore")) > LONGEST_PART for part in parts):
        raise ModelFileError(
            f"'{repository}' has a file {path[:100]!r}, which leaves its folder or cannot be kept; refused."
        )
    return path
