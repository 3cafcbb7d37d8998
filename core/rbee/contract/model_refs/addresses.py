"""Addresses as names of models: a file with its checksum, or a hub's page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from rbee.contract.model_refs.parts import checked_file, checked_name, checked_revision, is_file_name
from rbee.contract.model_refs.quantizations import is_branch_word, looks_like_quantization
from rbee.contract.model_refs.ref import ModelRef
from rbee.contract.model_refs.refusal import LONGEST, ROOM, SUM_FORM, RefusedError, shown

_ADDRESS = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#(.*))?", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252})(?::[0-9]{1,5})?")
_SUM = re.compile(r"(?:sha256[=:])?([0-9A-Fa-f]{64})", re.IGNORECASE)
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]+")

_PAGES = frozenset({"tree", "blob", "resolve", "raw"})
_OTHER_PAGES = frozenset({"commit", "commits", "discussions", "blame", "edit"})
_DEFAULT_BRANCH = "main"
_EXAMPLE = "https://host/path/file.gguf"
_SHOWN_ADDRESS = 300
_HIGHEST_PORT = 65535


def parse_address(text: str) -> ModelRef:
    """An address that begins with ``http``.

    Raises:
        RefusedError: it is no address, or none that a model may be named by.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise RefusedError("is no address", shape=_shape())
    scheme, host, path, query, fragment = found.groups()
    if "@" in host:
        raise RefusedError("holds a login, which would stand in lists and logs", f"{scheme}://{text.split('@', 1)[1]}")
    if not _HOST.fullmatch(host) or not _is_port(host):
        raise RefusedError(f"has a host {shown(host)} that is none")
    host, plain = host.lower(), f"{scheme.lower()}://{host.lower()}{path}"
    if fragment is None:
        parts = path.strip("/").split("/")
        if is_page(host, parts):
            return parse_page(host, parts)
        if "." in host and parts[2:3] and parts[2] in _OTHER_PAGES:
            raise RefusedError("is a page about a repository", f"{host}/{parts[0]}/{parts[1]}")
        raise RefusedError("is an address without a checksum", shape=_shape(plain))
    checksum = _SUM.fullmatch(fragment)
    if checksum is None:
        if "sha256" not in fragment.lower() and is_page(host, path.strip("/").split("/")):
            raise RefusedError(f"has {shown(fragment)} behind its '#', which is no checksum", plain)
        raise RefusedError(f"has a checksum {shown(fragment)} that is none", shape=_shape(plain))
    if len(text) > LONGEST - ROOM:
        raise RefusedError(f"has {len(text)} characters; {LONGEST - ROOM} is the most for an address")
    if query is not None:
        raise RefusedError(
            "has a '?', behind which secrets may stand that would be seen in lists and logs", f"{plain}#{fragment}"
        )
    if not _PATH.fullmatch(path) or path.endswith("/") or ".." in unquote(path).split("/"):
        raise RefusedError(f"has a path {shown(path)} that leads to no file", shape=_shape())
    return ModelRef(kind="url", scheme=scheme.lower(), host=host, repository=plain, sha256=checksum[1].lower())


def is_page(host: str, parts: Sequence[str]) -> bool:
    """Whether the path of an address, or of a name that begins with a host, is that of a repository."""
    if "." not in host or len(parts) < 2:
        return False
    return parts[2] in _PAGES if len(parts) > 2 else not is_file_name(parts[1])


def parse_page(host: str, parts: Sequence[str]) -> ModelRef:
    """A hub's page of a repository, of one of its revisions, or of a file.

    Args:
        host: of the hub.
        parts: of the path, as they stand in the address: ``org``, ``repo``, ``tree``, ...

    Raises:
        RefusedError: a part is not as it must be, or it is the page of a folder.
    """
    name = checked_name(parts[1].removesuffix(".git"), "repository")
    repository = f"{checked_name(parts[0], 'organisation')}/{name}"
    if len(parts) == 2:
        return ModelRef(kind="hub", host=host, repository=repository)
    # A branch's own slashes are written as %2F there, but for those of well-known beginnings.
    length = 3 if parts[3:4] == ["refs"] else 1
    revision = checked_revision("/".join(map(unquote, parts[3 : 3 + length])))
    file = "/".join(map(unquote, parts[3 + length :])) or None
    kept = None if revision == _DEFAULT_BRANCH else revision
    at = "" if kept is None else f"@{kept}"
    if parts[2] == "tree":
        if file is not None:
            folder = looks_like_quantization(file)
            meant = [f"{host}/{repository}{at}:{folder}"] if folder else []
            raise RefusedError(f"is the page of a folder, {shown(file)}", *meant, f"{host}/{repository}{at}")
        named = looks_like_quantization(revision)
        if named and not is_branch_word(named):
            raise RefusedError(
                f"is the page of a branch that is called as a quantisation, {shown(revision)}",
                f"{host}/{repository}:{named}",
            )
        return ModelRef(kind="hub", host=host, repository=repository, revision=kept)
    return ModelRef(kind="hub", host=host, repository=repository, revision=kept, file=checked_file(file or ""))


def _is_port(host: str) -> bool:
    port = host.rpartition("]")[2].rpartition(":")[2]
    return not (":" in host.rpartition("]")[2] and int(port) > _HIGHEST_PORT)


def _shape(address: str = "") -> str:
    """How an address must look; a long one is not repeated, nor one without a file."""
    fits = len(address) <= _SHOWN_ADDRESS and address.count("/") > 2 and not address.endswith("/")
    return f"{address if fits else _EXAMPLE}{SUM_FORM}"
