"""The stand-in itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, unquote

import msgspec

from rbee.testing.hub.access import Guests, admit, commit_at, past_gate
from rbee.testing.hub.api import Api
from rbee.testing.hub.contents import Entry, Source
from rbee.testing.hub.faults import Fault, Faults
from rbee.testing.hub.files import send_file
from rbee.testing.hub.ledger import Ledger, Seen
from rbee.testing.hub.origins import LOOPBACK, Exchange, Origin
from rbee.testing.hub.repositories import MAIN, About, Commit, Repository, Shelf

MEMBER: Final = "hf_member_of_the_stand_in"
"""A token that may see and fetch everything."""
STRANGER: Final = "hf_stranger_to_the_stand_in"
"""A token that is good, owns nothing and has accepted no terms."""

_RESOLVE: Final = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_CACHE: Final = "/api/resolve-cache/models/"
_CACHED: Final = re.compile(re.escape(_CACHE) + r"(?P<id>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")
_BLOB: Final = re.compile(r"/blobs/(?P<sha256>[0-9a-f]{64})/(?P<name>.+)")


class Hub:
    """A stand-in for a model hub on loopback; a context manager, or `start` and `stop`.

    It has two origins: the hub itself, and another host and port for large files, to which it redirects, so that a
    token that is sent along is seen there::

        with Hub() as hub:
            hub.add("org/tiny-GGUF", {"tiny-Q8_0.gguf": Path("tiny.gguf")}, tags=["gguf"])
            hub.fault("org/tiny-GGUF/*.gguf", cut_after=100_000)
            ...  # with HF_ENDPOINT set to hub.url
            assert hub.ledger.sent("*.gguf") < 2 * size
            assert not [seen for seen in hub.ledger.requests(origin="cdn") if seen.token]

    Args:
        host: where it listens.
        port: of the hub itself; 0 for one that the kernel chooses.
        page: files on one page of a tree.
    """

    def __init__(self, *, host: str = LOOPBACK, port: int = 0, page: int = 1000) -> None:
        self.faults = Faults()
        self.ledger = Ledger()
        self.shelf = Shelf()
        self._guests = Guests(members=frozenset({MEMBER}), strangers=frozenset({STRANGER}))
        self._api = Api(self.shelf, self._guests, page)
        self._place = (host, port)
        self._stack = ExitStack()
        self._hub: Origin | None = None
        self._cdn: Origin | None = None

    def start(self) -> Self:
        """Begin to serve; returns itself."""
        host, port = self._place
        # Called by another name too: some clients tell origins apart by their hosts alone.
        self._cdn = self._open(Origin("cdn", self._answer_cdn, host, called="localhost" if host == LOOPBACK else None))
        self._hub = self._open(Origin("hub", self._answer_hub, host, port))
        return self

    def stop(self) -> None:
        """Cut all lines and stop; harmless when repeated."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What ``HF_ENDPOINT`` is to be set to."""
        assert self._hub is not None, "the hub is not started"
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        """Where large files are."""
        assert self._cdn is not None, "the hub is not started"
        return self._cdn.url

    def add(self, repo_id: str, files: Mapping[str, Source | None], *, revision: str = MAIN, **about: Any) -> Commit:
        """Commit files to a branch of a repository; what is not there yet is made.

        Args:
            repo_id: ``org/name``.
            files: by path: bytes, text, a path on the disk, or None to remove what was there before.
            revision: the branch.
            about: fields of `About`; once given, they hold until others are given.

        Returns:
            The commit, whose `sha` the files are pinned by.
        """
        told = msgspec.convert(about, About, strict=False) if about else None
        return self.shelf.add(repo_id, revision, files, told)

    def add_folder(self, folder: Path) -> list[str]:
        """Add every ``ORG/NAME`` below a folder with the files in it; returns their names."""
        names = []
        for place in sorted(path for path in folder.glob("*/*") if path.is_dir()):
            files = {str(path.relative_to(place).as_posix()): path for path in place.rglob("*") if path.is_file()}
            names.append(place.relative_to(folder).as_posix())
            self.add(names[-1], files)
        return names

    def fault(self, pattern: str, *, times: int | None = 1, methods: tuple[str, ...] = ("GET",), **fault: Any) -> None:
        """Let something go wrong: ``hub.fault("org/name/*.gguf", cut_after=1000, times=3)``.

        Args:
            pattern: of the file, or of the path of another address, as in `Faults.arm`.
            times: how often; None for always.
            methods: of requests that meet it.
            fault: fields of `Fault`.
        """
        self.faults.arm(pattern, Fault(**fault), times, methods)

    def _open(self, origin: Origin) -> Origin:
        origin.start()
        self._stack.callback(origin.stop)
        return origin

    def _answer_hub(self, exchange: Exchange) -> None:
        asked = _RESOLVE.fullmatch(exchange.raw_route) or _CACHED.fullmatch(exchange.raw_route)
        name = f"{unquote(asked['id'])}/{unquote(asked['path'])}" if asked else exchange.route
        if self._spoilt(exchange, name):
            return
        if asked is None:
            self._api.answer(exchange)
            return
        if (moved := self.shelf.moved_to(unquote(asked["id"]))) is not None:
            exchange.redirect(307, exchange.path.replace(asked["id"], moved, 1))
            return
        repository = admit(exchange, self.shelf, self._guests, unquote(asked["id"]))
        if repository is None or not past_gate(exchange, repository, self._guests):
            return
        commit = commit_at(exchange, repository, unquote(asked["revision"]))
        if commit is None:
            return
        entry = commit.files.get(unquote(asked["path"]))
        headers = {"X-Repo-Commit": commit.sha}
        if entry is None:
            exchange.refuse(404, "EntryNotFound", "Entry not found", headers)
        elif entry.large:
            self._lead_away(exchange, repository, entry, headers)
        elif exchange.raw_route.startswith(_CACHE):
            send_file(exchange, name, entry, headers, self.faults, self.ledger)
        else:
            # As the real one does since 2025: small files are served from an address that never changes.
            headers |= {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.etag}"'}
            exchange.redirect(307, f"{_CACHE}{repository.repo_id}/{commit.sha}/{quote(entry.path)}", headers)

    def _lead_away(self, exchange: Exchange, repository: Repository, entry: Entry, headers: dict[str, str]) -> None:
        headers |= {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.sha256}"', "ETag": f'"{entry.oid}"'}
        name = quote(f"{repository.repo_id}/{entry.path}")
        there = f"{self.cdn_url}/blobs/{entry.sha256}/{name}?Expires=1795000000&Signature={entry.oid[:16]}"
        exchange.redirect(302, there, headers)

    def _answer_cdn(self, exchange: Exchange) -> None:
        asked = _BLOB.fullmatch(exchange.raw_route)
        name = unquote(asked["name"]) if asked else exchange.route
        if self._spoilt(exchange, name):
            return
        found = self.shelf.blob(asked["sha256"]) if asked else None
        if found is None or "Signature" not in exchange.asked:
            exchange.begin(403, {"Content-Type": "application/xml"}, 0)
            return
        send_file(exchange, name, found[1], {}, self.faults, self.ledger)

    def _spoilt(self, exchange: Exchange, name: str) -> bool:
        """Note the request, and answer it as the fault that it meets wants; False when it meets none."""
        self.ledger.note(
            Seen(
                origin=exchange.origin,
                method=exchange.command,
                path=exchange.route,
                query=exchange.query,
                headers=exchange.named(),
                name=name,
            )
        )
        fault = self.faults.take(exchange.origin, exchange.command, name, instead=True)
        if fault is None:
            return False
        if fault.hang:
            exchange.hang()
        else:
            assert fault.status is not None
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            exchange.refuse(fault.status, fault.error_code, "refused by the test", headers)
        return True
