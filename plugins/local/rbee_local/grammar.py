"""Which names mean a path on this machine, and which path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from rbee.contract.errors import ModelNotFoundError

SCHEME = "file:"
PATH_STARTS = ("/", "./", "../", "~")
PATH_WORDS = frozenset({".", ".."})
SUFFIX = ".gguf"


def is_local(ref: str) -> bool:
    """True when `ref` is a path or a file address; looks at nothing but the letters."""
    if "\x00" in ref:
        return False
    if ref.startswith((SCHEME, *PATH_STARTS)) or ref in PATH_WORDS:
        return True
    # A scheme of another vendor may well end with a file's name.
    return ref.lower().endswith(SUFFIX) and ":" not in ref


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
