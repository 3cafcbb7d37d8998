"""The part of a hub's API under ``/api/models``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, urlencode

from rbee.testing.hub.access import Guests, admit, commit_at, known, token_of
from rbee.testing.hub.contents import Entry
from rbee.testing.hub.origins import Exchange
from rbee.testing.hub.repositories import MAIN, Commit, Repository, Shelf

_ROUTE: Final = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)(?:/(?P<verb>revision|tree|refs)(?:/(?P<rest>.+))?)?")
_SORTS: Final = ("downloads", "likes", "lastModified", "createdAt", "trendingScore")
_MOST_LISTED: Final = 1000


class Api:
    """Answers what is asked about models.

    Args:
        shelf: of repositories.
        guests: tokens that are known.
        page: entries of one page of a list.
    """

    def __init__(self, shelf: Shelf, guests: Guests, page: int) -> None:
        self._shelf = shelf
        self._guests = guests
        self._page = page

    def answer(self, exchange: Exchange) -> None:
        """Answer one request whose path begins with ``/api/``."""
        if exchange.raw_route == "/api/models":
            self._list(exchange)
            return
        match = _ROUTE.fullmatch(exchange.raw_route)
        if match is None:
            exchange.refuse(404, None, "Sorry, we can't find the page you are looking for.")
            return
        repo_id = unquote(match["id"])
        if (moved := self._shelf.moved_to(repo_id)) is not None:
            there = exchange.path.replace(match["id"], moved, 1)
            exchange.redirect(307, there)
            return
        repository = admit(exchange, self._shelf, self._guests, repo_id)
        if repository is None:
            return
        if match["verb"] == "refs":
            self._refs(exchange, repository)
            return
        revision, _, folder = (match["rest"] or MAIN).partition("/")
        commit = commit_at(exchange, repository, unquote(revision))
        if commit is None:
            return
        if match["verb"] == "tree":
            self._tree(exchange, commit, unquote(folder))
        else:
            exchange.json(200, _told(repository, commit, blobs=exchange.true("blobs")))

    def _refs(self, exchange: Exchange, repository: Repository) -> None:
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit.sha}
            for name, commit in repository.branches.items()
        ]
        exchange.json(200, {"branches": branches, "converts": [], "tags": []})

    def _tree(self, exchange: Exchange, commit: Commit, folder: str) -> None:
        inside = f"{folder}/" if folder else ""
        files = [entry for path, entry in commit.files.items() if path.startswith(inside)]
        if folder and not files:
            exchange.refuse(404, "EntryNotFound", f"{folder} does not exist on this revision")
            return
        items: dict[str, dict[str, Any]] = {}
        for entry in files:
            parts = entry.path[len(inside) :].split("/")
            for depth in range(1, len(parts)):
                path = inside + "/".join(parts[:depth])
                items[path] = {"type": "directory", "oid": _made_up(path), "size": 0, "path": path}
            items[entry.path] = _leaf(entry)
        if not exchange.true("recursive"):
            items = {path: item for path, item in items.items() if "/" not in path[len(inside) :]}
        if exchange.true("expand"):
            for item in items.values():
                item["lastCommit"] = {"id": commit.sha, "title": "commit", "date": "2026-11-01T12:00:00.000Z"}
        self._paged(exchange, list(items.values()), min(self._page, int(exchange.first("limit", "1000"))))

    def _list(self, exchange: Exchange) -> None:
        if not known(exchange, self._guests):
            return
        words = exchange.first("search").lower().split()
        filters = {word for text in exchange.asked.get("filter", []) for word in text.split(",")}
        author = exchange.first("author")
        member = token_of(exchange) in self._guests.members if token_of(exchange) is not None else False
        found = [
            repository
            for repository in self._shelf
            if all(word in repository.repo_id.lower() for word in words)
            and filters <= _tags(repository)
            and author in {"", repository.repo_id.partition("/")[0]}
            and (member or not repository.about.private)
        ]
        sort = exchange.first("sort", "trendingScore")
        if sort not in _SORTS:
            exchange.refuse(400, None, f'"sort" must be one of {", ".join(_SORTS)}')
            return
        found.sort(
            key=lambda repository: _sort_key(repository, sort), reverse=exchange.first("direction", "-1") == "-1"
        )
        listed = [_listed(repository, exchange) for repository in found]
        self._paged(exchange, listed, max(1, min(_MOST_LISTED, int(exchange.first("limit", str(_MOST_LISTED))))))

    def _paged(self, exchange: Exchange, items: list[dict[str, Any]], size: int) -> None:
        start = int(exchange.first("cursor", "0"))
        headers = {}
        if start + size < len(items):
            query = urlencode({**exchange.asked, "cursor": [str(start + size)]}, doseq=True)
            headers["Link"] = f'<{exchange.server.base}{exchange.raw_route}?{query}>; rel="next"'
        exchange.json(200, items[start : start + size], headers)


def _told(repository: Repository, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    about = repository.about
    told: dict[str, Any] = {
        **_short(repository),
        "author": repository.repo_id.partition("/")[0],
        "sha": commit.sha,
        "lastModified": _time(about.updated_at),
        "gated": about.gated,
        "disabled": False,
        "model-index": None,
        "config": _config(commit),
        "cardData": {},
        "spaces": [],
        "siblings": [_sibling(entry, blobs=blobs) for entry in commit.files.values()],
        "usedStorage": sum(entry.size for entry in commit.files.values()),
    }
    if about.gguf is not None:
        told["gguf"] = about.gguf
    return told


def _short(repository: Repository) -> dict[str, Any]:
    about = repository.about
    return {
        "_id": _made_up(repository.repo_id)[:24],
        "id": repository.repo_id,
        "modelId": repository.repo_id,
        "likes": about.likes,
        "downloads": about.downloads,
        "trendingScore": about.likes,
        "private": about.private,
        "tags": sorted(_tags(repository)),
        "createdAt": _time(about.updated_at),
        **({} if about.library_name is None else {"library_name": about.library_name}),
        **({} if about.pipeline_tag is None else {"pipeline_tag": about.pipeline_tag}),
    }


def _listed(repository: Repository, exchange: Exchange) -> dict[str, Any]:
    commit = repository.branches.get(MAIN) or next(iter(repository.branches.values()))
    told = _told(repository, commit, blobs=False)
    if wanted := exchange.asked.get("expand"):
        return {name: told[name] for name in ("_id", "id", *wanted) if name in told}
    if exchange.true("full"):
        names = ("author", "sha", "lastModified", "gated", "disabled", "siblings")
        return {**_short(repository), **{name: told[name] for name in names}}
    return _short(repository)


def _tags(repository: Repository) -> set[str]:
    """Those that were given, and those that a hub finds by itself."""
    about = repository.about
    found = {about.library_name, about.pipeline_tag} - {None}
    for commit in repository.branches.values():
        found |= {word for word in ("gguf", "safetensors") if _any_is(commit.files, f".{word}")}
    return {*about.tags, *(str(word) for word in found)}


def _any_is(paths: Iterable[str], suffix: str) -> bool:
    return any(path.endswith(suffix) for path in paths)


def _config(commit: Commit) -> dict[str, Any]:
    entry = commit.files.get("config.json")
    if entry is None or entry.large:
        return {}
    try:
        read = json.loads(entry.read())
    except (ValueError, RecursionError):
        return {}
    return {name: read[name] for name in ("architectures", "model_type", "quantization_config") if name in read}


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": entry.path}
    if blobs:
        sibling |= {"blobId": entry.oid, "size": entry.size}
        if entry.large:
            sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return sibling


def _leaf(entry: Entry) -> dict[str, Any]:
    leaf: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.large:
        leaf["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return leaf


def _sort_key(repository: Repository, sort: str) -> Any:
    about = repository.about
    keys = {"downloads": about.downloads, "likes": about.likes, "trendingScore": about.likes}
    return keys.get(sort, about.updated_at.timestamp())


def _made_up(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
