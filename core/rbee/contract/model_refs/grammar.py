"""The grammar: from what a person types to its parts.

=========================================  =====================================================
``org/repo``                               a hub's repository; the hive chooses what fits
``org/repo:Q4_K_M``, ``org/repo@q4_k_m``   that quantisation of it
``org/repo:file.gguf``                     that file of it
``org/repo@revision``                      of a branch, tag or commit; ``:Q4_K_M`` or ``::file`` may follow
``hf:org/repo...``                         the same, of the vendor whose scheme stands before it
``hub.example/org/repo...``                the same, of the hub there; its pages' addresses likewise
``name``, ``name:1b``, ``name@q4_k_m``     a word: an alias, or what a vendor calls a model
``/path``, ``./path``, ``file:/path``      a file or folder of the machine
``https://host/file.gguf#sha256=...``      a file anywhere, which must have that checksum
=========================================  =====================================================
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs.addresses import is_page, parse_address, parse_page
from rbee.contract.model_refs.parts import (
    MODEL_SUFFIXES,
    checked_file,
    checked_name,
    checked_revision,
    checked_word,
    is_file_name,
    is_tag,
)
from rbee.contract.model_refs.quantizations import is_branch_word, looks_like_quantization
from rbee.contract.model_refs.ref import ModelRef, RefKind
from rbee.contract.model_refs.refusal import FORMS, LONGEST, ROOM, RefusedError, repairs, shown

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+-]{1,31}")
_DRIVE = re.compile(r"([A-Za-z]):([/\\].*)?", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\.[A-Za-z0-9.-]*[A-Za-z0-9]")
_PATH_STARTS = ("/", "./", "../", "~")
_PATH_WORDS = frozenset({".", ".."})
_FILE_SCHEME = "file"
_NOTHING = (None, None, None)


def parse_ref(text: str) -> ModelRef:
    """The parts of a model's name.  Looks at nothing but the letters.

    Args:
        text: as somebody typed it, or a canonical name.

    Raises:
        InvalidRequestError: it is in none of the forms; shows the nearest one that is.
    """
    try:
        return _parse(text)
    except RefusedError as error:
        raise InvalidRequestError(f"The model name {shown(text)} {_ending(text, error)}", param="model") from None


def _ending(text: str, error: RefusedError) -> str:
    if error.shape is not None:
        return f"{error.why}; write it as '{error.shape}'."
    for one in (*error.meant, *repairs(text)):
        try:
            _parse(one)
        except RefusedError:
            continue
        return f"{error.why}; did you mean {shown(one)}?"
    return f"{error.why}. A model is named as {FORMS}."


def _parse(text: str) -> ModelRef:
    if not text.strip():
        raise RefusedError("is empty")
    if len(text) > LONGEST:
        raise RefusedError(f"has {len(text)} characters; {LONGEST} is the most")
    if not text.isprintable():
        raise RefusedError("holds a character that cannot be printed")
    if text != text.strip():
        raise RefusedError("begins or ends with a space")
    head, colon, rest = text.partition(":")
    scheme = head.lower() if colon and _SCHEME.fullmatch(head) else None
    if scheme in {"http", "https"}:
        return parse_address(text)
    if scheme == _FILE_SCHEME:
        return _file_address(rest)
    if text.startswith(_PATH_STARTS) or text in _PATH_WORDS:
        return _path(text)
    _refuse_foreign(text, head, rest)
    host, slash, path = text.partition("/")
    parts = path.split("/")
    if slash and len(parts) > 2 and _HOST.fullmatch(host) and is_page(host, parts):
        return parse_page(host.lower(), parts)
    if not colon and text.lower().endswith(MODEL_SUFFIXES):
        return _path(text)
    if scheme is not None and not rest.startswith(":") and not looks_like_quantization(rest) and not is_tag(rest):
        return _named(rest, scheme)
    return _named(text, None)


def _refuse_foreign(text: str, head: str, rest: str) -> None:
    """What is written as on other systems."""
    if drive := _DRIVE.fullmatch(text):
        path = (drive[2] or "").replace("\\", "/")
        raise RefusedError("is a Windows path, which is not supported", f"/mnt/{drive[1].lower()}{path}")
    if text.startswith("\\\\"):
        raise RefusedError("is a Windows path, which is not supported", shape="/path/file.gguf")
    if "\\" in text:
        raise RefusedError("holds a backslash; Windows paths are not supported")
    if rest.startswith("//"):
        raise RefusedError(f"has '//' behind '{head[:32]}:'")


def _file_address(rest: str) -> ModelRef:
    if not rest.startswith("//"):
        # All that follows the colon is the path as it is, so that a canonical name needs no escapes.
        return _path(rest, _FILE_SCHEME)
    host, slash, path = rest.removeprefix("//").partition("/")
    if host not in {"", "localhost"}:
        raise RefusedError(f"is an address of another machine, {shown(host)}", f"file:/{path}")
    return _path(unquote(slash + path), _FILE_SCHEME)


def _path(path: str, scheme: str | None = None) -> ModelRef:
    if not path.strip() or not path.isprintable():
        raise RefusedError("is no path", shape="file:/path/file.gguf")
    if len(path) > LONGEST - ROOM:
        raise RefusedError(f"has a path of {len(path)} characters; {LONGEST - ROOM} is the most")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    return ModelRef(kind="path", scheme=scheme, repository=path)


def _named(text: str, scheme: str | None) -> ModelRef:
    """``repository[@revision][:quantisation|:tag|:file|::file]``, without the scheme."""
    before = f"{scheme}:" if scheme else ""
    left, doubled, last = text.partition("::")
    if not doubled:
        left, _, last = text.partition(":")
    colon = len(left) < len(text)
    if ":" in left or (":" in last and colon):
        raise _too_many_colons(before, text)
    repository, at, revision = left.partition("@")
    host, repository, kind = _placed(before, repository)
    if at and not revision:
        raise RefusedError("has no revision behind its '@'")
    if at and is_file_name(revision):
        branch, _, within = revision.partition("/")
        raise RefusedError("has a file for its revision", f"{before}{repository}@{branch}::{within}")
    file, quantization, tag = (
        _last(before, left, last, doubled=bool(doubled), word=kind == "name") if colon else _NOTHING
    )
    if at and not colon:
        alone = looks_like_quantization(revision)
        # Hubs keep these in branches; the rest are words for files.
        if alone and not (kind == "hub" and is_branch_word(alone)):
            at, quantization = "", alone
    return ModelRef(
        kind=kind,
        scheme=scheme,
        host=host,
        repository=repository,
        revision=checked_revision(revision) if at else None,
        file=file,
        quantization=quantization,
        tag=tag,
    )


def _placed(before: str, repository: str) -> tuple[str | None, str, RefKind]:
    """Host, repository and kind of what stands before a revision and a quantisation."""
    parts = repository.split("/")
    if len(parts) == 1:
        if is_file_name(repository):
            raise RefusedError(f"has a file {shown(repository)} where a model's name must be", f"./{repository}")
        return None, checked_word(repository), "name"
    if "" in parts:
        raise RefusedError("has an empty part between its slashes")
    host = None
    if len(parts) == 3 and not before and _HOST.fullmatch(parts[0]):
        host = parts.pop(0).lower()
    if len(parts) > 2:
        organisation, name, *inner = parts
        file = "/".join(inner)
        meant = [f"{before}{organisation}/{name}::{file}"] if is_file_name(file) else []
        if "." in organisation:
            meant.append(f"{before}{name}/{file}")
        raise RefusedError(
            "has several slashes, and a repository is 'org/repo'", *meant, f"{before}{organisation}/{name}"
        )
    return host, f"{checked_name(parts[0], 'organisation')}/{checked_name(parts[1], 'repository')}", "hub"


def _last(before: str, left: str, last: str, *, doubled: bool, word: bool) -> tuple[str | None, str | None, str | None]:
    """File, quantisation and tag that a text behind a colon is."""
    if not last:
        raise RefusedError("has nothing behind its colon", f"{before}{left}")
    if doubled or is_file_name(last):
        return checked_file(last), None, None
    if quantization := looks_like_quantization(last):
        return None, quantization, None
    wanted, at, revision = last.partition("@")
    if at:
        raise RefusedError("has its revision in the wrong place", f"{before}{left}@{revision}:{wanted}")
    if word and is_tag(last):
        return None, None, last
    close = last.strip("*").partition(",")[0].replace("-", "_")
    if looks_like_quantization(close):
        meant = f"{before}{left}:{close}"
    elif is_tag(last):
        meant = f"{before}{left}"
    else:
        meant = f"{before}{left}/{last}" if word and "@" not in left else f"{before}{left}@{last}"
    raise RefusedError(f"has {shown(last)} behind its colon, which is neither a quantisation nor a file", meant)


def _too_many_colons(before: str, text: str) -> RefusedError:
    left, *rest = [part for part in text.split(":") if part] or [""]
    files = [part for part in rest if is_file_name(part)]
    words = [part for part in rest if looks_like_quantization(part)]
    if files and words:
        return RefusedError(
            "names a file and a quantisation, which the file has already", f"{before}{left}::{files[0]}"
        )
    return RefusedError("has too many colons", *(f"{before}{left}:{part}" for part in rest[:3]))
