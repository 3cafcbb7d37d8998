"""What files of a model may be called: below its folder, and none as rbee calls what it puts beside them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from rbee.contract.errors import ModelFileError
from rbee.contract.types import ModelFile

RECORD = ".rbee.json"
"""File in a model's folder that tells which model it is: a list that was lost is made anew from these."""

PART = ".part"
"""Ends the name of a file that is not whole yet; what stands beside that one has more behind it."""


def check_names(model: str, files: Iterable[ModelFile]) -> None:
    """See that the files of a model stay below its folder and out of each other's and rbee's way.

    Args:
        model: its name, for the message.
        files: all of the model's, also those that are not to be fetched.

    Raises:
        ModelFileError: naming the first that does not.
    """
    taken: dict[str, str] = {}
    for file in files:
        pure = PurePosixPath(file.name)
        outside = pure.is_absolute() or not pure.parts or ".." in pure.parts or "\\" in file.name
        if outside or not file.name.isprintable() or str(pure) != file.name:
            raise _refusal(model, file.name, "leaves its folder or is no plain path in it")
        same = _same(file.name)
        if same in taken:
            raise _refusal(model, file.name, f"stands there twice or differs from {taken[same]!r} by capitals alone")
        if same.startswith(RECORD):
            raise _refusal(model, file.name, "is rbee's own")
        taken[same] = file.name
    for same, name in taken.items():
        if (other := next((taken[start] for start in _beginnings(same) if start in taken), None)) is not None:
            raise _refusal(model, name, f"lies where {other!r} does, or does while unfinished")


def _same(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _beginnings(name: str) -> Iterator[str]:
    """What stands before each ending of an unfinished file, and the folders that it lies in."""
    for mark in (PART, "/"):
        at = name.find(mark, 1)
        while at > 0:
            yield name[:at]
            at = name.find(mark, at + 1)


def _refusal(model: str, name: str, reason: str) -> ModelFileError:
    return ModelFileError(f"Model {model!r} has a file called {name!r}, which {reason}; refused.")
