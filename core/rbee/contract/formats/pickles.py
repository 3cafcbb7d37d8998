"""Files that would run code when opened, known by what they hold and never by their names."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import BinaryIO, Final

from rbee.contract.errors import ModelFileError
from rbee.contract.formats.archives import names_in_tar, names_in_zip
from rbee.contract.formats.opening import opened

HEAD: Final = 8192
PROTOCOLS: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
ENOUGH: Final = 8
"""Instructions in a row, behind the mark, that no other file begins with."""
MANY: Final = 64
"""Likewise without the mark."""
LARGEST_JSON_HEAD: Final = 100_000_000

_NAMING: Final = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLING: Final = frozenset({"INST", "REDUCE", "BUILD", "OBJ", "NEWOBJ", "NEWOBJ_EX"})


def refuse_pickle(path: Path) -> None:
    """Refuse a Python pickle, bare or in an archive as older and newer libraries pack it.

    Args:
        path: a file.

    Raises:
        ModelFileError: it is one, or cannot be read.
    """
    with opened(path) as (file, size):
        if is_pickle(file, size):
            raise ModelFileError(
                f"model file '{path}' is a Python pickle, which can run any code when opened, and is refused; "
                "take a GGUF or safetensors edition of the model"
            )


def is_pickle(file: BinaryIO, size: int) -> bool:
    """Whether a file is a pickle.

    Args:
        file: at its first byte, able to seek.
        size: its length.
    """
    head = file.read(HEAD)
    if head.startswith(b"GGUF"):
        return False
    if any(name.endswith(".pkl") for name in names_in_zip(file, head, size)):
        return True
    if "pickle" in names_in_tar(file, head, size):
        return True
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_JSON_HEAD:
        # The length of a safetensors head may look like the mark of a pickle, but not like its instructions.
        names, _ = _instructions(head)
        return head.startswith(PROTOCOLS) and (len(names) >= ENOUGH or "STOP" in names)
    return head.startswith(PROTOCOLS) or _calls(head, size)


def _calls(head: bytes, size: int) -> bool:
    """Whether it is a pickle of the oldest kinds, which have no mark."""
    names, end = _instructions(head)
    if "STOP" in names and end == size:
        return len(names) > 1
    cut = end == len(head) < size
    named = not _NAMING.isdisjoint(names)
    return len(names) >= MANY or (named and (cut or not _CALLING.isdisjoint(names)))


def _instructions(head: bytes) -> tuple[list[str], int]:
    """Names of the instructions that a pickle would begin with, none of them carried out, and where they end."""
    import pickletools

    stream = io.BytesIO(head)
    names: list[str] = []
    with contextlib.suppress(Exception):  # whatever it trips over: it is no instruction
        names.extend(instruction.name for instruction, _, _ in pickletools.genops(stream))
    return names, stream.tell()
