"""The hub, asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from rbee.contract import ModelFile
from rbee.contract.errors import ModelFileError, ModelNotFoundError

from rbee_huggingface.environment import endpoint
from rbee_huggingface.line import address_of, must, read
from rbee_huggingface.listing import MOST_FILES, Found, Listing, checked_path
from rbee_huggingface.refusals import nonsense

T = TypeVar("T")

LARGEST_LISTING: Final = 64 << 20
LARGEST_SEARCH: Final = 16 << 20
MOST_BRANCHES: Final = 1000
MOST_FOUND: Final = 100
DEFAULT_BRANCH: Final = "main"

_EXPANDED: Final = ("downloads", "gated", "lastModified", "library_name", "likes", "pipeline_tag", "tags")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")

_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 46)]
_Word = Annotated[str, msgspec.Meta(max_length=1000)]


class _Large(msgspec.Struct):
    sha256: _Word | None = None
    size: _Size | None = None


class _Sibling(msgspec.Struct):
    rfilename: str
    size: _Size | None = None
    blob_id: _Word | None = msgspec.field(default=None, name="blobId")
    lfs: _Large | None = None


class _Model(msgspec.Struct):
    id: _Word
    sha: _Word | None = None
    siblings: list[_Sibling] = []
    tags: list[_Word] | None = None
    library_name: _Word | None = None
    pipeline_tag: _Word | None = None
    gguf: dict[str, Any] | None = None
    downloads: int | None = None
    likes: int | None = None
    gated: bool | str | None = None
    updated_at: datetime | None = msgspec.field(default=None, name="lastModified")


class _Branch(msgspec.Struct):
    name: _Word


class _Refs(msgspec.Struct):
    branches: list[_Branch] = []


class OnlineHub:
    """The hub at the address that the environment names at the time of the question."""

    def listing(self, repository: str, revision: str | None) -> Listing:
        """A repository at a revision, by one request.

        Raises:
            ModelNotFoundError: there is none.
            ModelFileError: it has more files, or others, than can be dealt with.
            UnreachableError: the hub does not answer, or not as a hub does.
        """
        what = f"'{repository}'" if revision is None else f"revision '{revision}' of '{repository}'"
        at = "" if revision is None else f"/revision/{quote(revision, safe='')}"
        body = read(_api(repository, at), [("blobs", "true")], repository=repository, what=what, most=LARGEST_LISTING)
        told = _decoded(must(body, what, LARGEST_LISTING), _Model, what)
        commit = told.sha or ""
        if not _NAME.fullmatch(told.id) or not _SHA1.fullmatch(commit):
            raise nonsense(what, "it names no repository or no commit")
        if len(told.siblings) > MOST_FILES:
            raise ModelFileError(
                f"'{repository}' has {len(told.siblings)} files; {MOST_FILES} is the most that is looked at."
            )
        files = {file.name: file for file in (_file(told.id, sibling) for sibling in told.siblings)}
        return Listing(
            repository=told.id,
            revision=None if revision == DEFAULT_BRANCH else revision,
            commit=commit,
            files=files,
            tags=frozenset(told.tags or ()),
            library_name=told.library_name,
            pipeline_tag=told.pipeline_tag,
            gguf=told.gguf or {},
        )

    def branches(self, repository: str) -> Sequence[str]:
        """Names of its branches.

        Raises:
            ModelNotFoundError: there is no such repository.
            UnreachableError: the hub does not answer, or not as a hub does.
        """
        what = f"the branches of '{repository}'"
        body = read(_api(repository, "/refs"), [], repository=repository, what=what, most=LARGEST_SEARCH)
        refs = _decoded(must(body, what, LARGEST_SEARCH), _Refs, what)
        return [branch.name for branch in refs.branches[:MOST_BRANCHES]]

    def small_file(self, listing: Listing, name: str, most: int) -> bytes | None:
        """A file's bytes; None when it is larger than `most`.

        Raises:
            PermissionDeniedError: it is gated.
            ModelNotFoundError: it has gone.
            UnreachableError: the hub does not answer.
        """
        size = listing.files[name].size_bytes
        if size is not None and size > most:
            return None
        url = address_of(listing.repository, listing.commit, name)
        what = f"file '{name}' of '{listing.repository}'"
        return read(url, [], repository=listing.repository, what=what, most=most)

    def search(self, text: str, limit: int) -> Sequence[Found]:
        """Repositories whose names hold a text, the most downloaded first.

        Raises:
            UnreachableError: the hub does not answer, or not as a hub does.
        """
        count = max(1, min(limit, MOST_FOUND))
        what = f"models called '{text[:100]}'"
        params = [("search", text[:200]), ("sort", "downloads"), ("limit", str(count))]
        params += [("expand", name) for name in _EXPANDED]
        body = read(f"{endpoint()}/api/models", params, repository="", what=what, most=LARGEST_SEARCH)
        told = _decoded(must(body, what, LARGEST_SEARCH), list[msgspec.Raw], what)
        models = (_readable(one) for one in told[:count])
        return [_found(model) for model in models if model is not None and _NAME.fullmatch(model.id)]


def _api(repository: str, rest: str) -> str:
    if not _NAME.fullmatch(repository):
        raise ModelNotFoundError(f"'{repository[:200]}' is no repository of the hub; one is named 'org/repo'.")
    return f"{endpoint()}/api/models/{repository}{rest}"


def _decoded(body: bytes, shape: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError) as error:
        raise nonsense(what, str(error)[:200]) from error


def _readable(told: msgspec.Raw) -> _Model | None:
    """One repository of many: what is odd about it is no matter of the others."""
    try:
        return msgspec.json.decode(told, type=_Model)
    except (msgspec.DecodeError, RecursionError):
        return None


def _file(repository: str, sibling: _Sibling) -> ModelFile:
    large = sibling.lfs
    sha256 = large.sha256 if large is not None and large.sha256 else None
    # Of a large file git has only a pointer, whose id proves nothing about the bytes.
    oid = sibling.blob_id if large is None else None
    return ModelFile(
        name=checked_path(repository, sibling.rfilename),
        size_bytes=large.size if large is not None and large.size is not None else sibling.size,
        sha256=sha256 if sha256 and _SHA256.fullmatch(sha256) else None,
        git_oid=oid if oid and _SHA1.fullmatch(oid) else None,
    )


def _found(model: _Model) -> Found:
    return Found(
        repository=model.id,
        tags=frozenset(model.tags or ()),
        library_name=model.library_name,
        pipeline_tag=model.pipeline_tag,
        downloads=model.downloads,
        likes=model.likes,
        updated_at=model.updated_at,
        gated=bool(model.gated),
    )
