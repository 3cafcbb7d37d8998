"""Which names mean a model of this machine: a path, or a name in another program's store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import msgspec
from rbee.contract.errors import ModelNotFoundError
from rbee.contract.model_refs import looks_like_quantization

SCHEME = "file:"
PATH_STARTS = ("/", "./", "../", "~")
PATH_WORDS = frozenset({".", ".."})
SUFFIX = ".gguf"

REPOSITORIES = "local"
OLLAMA = "ollama"
NEWEST = "latest"

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
REPOSITORY = re.compile(rf"(?:{NAME}/)?{NAME}")
_STORED = re.compile(
    rf"local:(?P<repository>(?:{NAME}/)?{NAME})(?:::(?P<file>[^\\:]{{1,1024}})|:(?P<word>[^:/]{{1,32}}))?"
)
_OLLAMA = re.compile(rf"ollama:(?P<model>(?:{NAME}/){{0,2}}{NAME})(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?")


class StoredName(msgspec.Struct, frozen=True, kw_only=True):
    """A name in a store.

    Attributes:
        scheme: ``local`` or ``ollama``.
        repository: ``org/repo``, or what Ollama calls the model.
        quantization: that is wanted; None for any.
        file: within the repository; None for any.
        tag: Ollama's.
    """

    scheme: str
    repository: str
    quantization: str | None = None
    file: str | None = None
    tag: str | None = None


def is_local(ref: str) -> bool:
    """True when `ref` is a path or a file address; looks at nothing but the letters."""
    if "\x00" in ref:
        return False
    if ref.startswith((SCHEME, *PATH_STARTS)) or ref in PATH_WORDS:
        return True
    # A scheme of another vendor may well end with a file's name.
    return ref.lower().endswith(SUFFIX) and ":" not in ref


def stored_name(ref: str) -> StoredName | None:
    """The parts of a name in a store; None for any other name.  Looks at nothing but the letters."""
    if found := _OLLAMA.fullmatch(ref):
        return StoredName(scheme=OLLAMA, repository=found["model"], tag=found["tag"] or NEWEST)
    found = _STORED.fullmatch(ref)
    if found is None or not ref.isprintable():
        return None
    quantization = looks_like_quantization(found["word"]) if found["word"] else None
    if found["word"] and quantization is None:
        return None
    return StoredName(
        scheme=REPOSITORIES, repository=found["repository"], quantization=quantization, file=found["file"]
    )


def path_of(ref: str) -> Path:
    """The real, absolute path behind a name that `is_local` accepted.

    Raises:
        ModelNotFoundError: nothing is there, or it cannot be looked at.
    """
    try:
        path = Path(_plain(ref)).expanduser()
        real = path.resolve(strict=True)
        if real.is_dir():
            return real
        # Of a file only the folder is made real: download caches keep files under meaningless names behind
        # links, and the name tells the quantisation and the parts.
        return path.parent.resolve(strict=True) / path.name
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: no such home folder, or links that lead in circles.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        # Whoever resolves a relative path may have been started in another folder than the one who wrote it.
        absolute = ref.removeprefix(SCHEME).startswith(("/", "~"))
        counted = "" if absolute else f"; a relative one counts from '{Path.cwd()}'"
        raise ModelNotFoundError(f"there is no model at '{ref}': {reason}. Check the path{counted}.") from error


def _plain(ref: str) -> str:
    if not ref.startswith(SCHEME):
        return ref
    rest = ref.removeprefix(SCHEME)
    if not rest.startswith("//"):
        # Ours: everything after the colon is the path as it is, so that a canonical name needs no escapes.
        return rest
    host, slash, path = rest.removeprefix("//").partition("/")
    if host not in {"", "localhost"}:
        raise ValueError(f"the address names another machine, '{host}'")
    return unquote(slash + path)
