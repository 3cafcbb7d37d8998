"""Files that would run code when opened, known by what they hold and never by their names."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from rbee.contract.errors import ModelFileError
from rbee.contract.formats.archives import names_in_tar, names_in_zip
from rbee.contract.formats.opening import opened

HEAD: Final = 8192
PROTOCOLS: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
ENOUGH: Final = 8
"""Instructions in a row, behind the mark, that no other file begins with."""
LARGEST_JSON_HEAD: Final = 100_000_000


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
    # Imported late: it brings a table of all instructions with their documentation.
    from rbee.contract.formats.instructions import Ending, follow

    head = file.read(HEAD)
    if any(name.endswith(".pkl") for name in names_in_zip(file, head, size)):
        return True
    if "pickle" in names_in_tar(file, head, size):
        return True
    marked = head.startswith(PROTOCOLS)
    # The length of a safetensors head may look like the mark of a pickle, but not like its instructions.
    measured = head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_JSON_HEAD
    if marked and not measured:
        return True
    # Whatever the file looks like: what a pickle may begin with can be made to look like the head of any model.
    file.seek(0)
    ending, count = follow(file, size)
    if ending is Ending.NOWHERE:
        return marked and count >= ENOUGH
    return ending is not Ending.WHOLE or count > 1
