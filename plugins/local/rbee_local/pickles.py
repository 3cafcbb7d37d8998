"""Files that would run code when opened."""

from __future__ import annotations

from pathlib import Path

from rbee.contract.errors import ModelFileError

SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
ZIP = b"PK\x03\x04"
PICKLE_PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
HEAD = 4096


def refuse_pickle(path: Path) -> None:
    """Refuse a file that is a Python pickle by name or by content, whatever its name says.

    Raises:
        ModelFileError: it is one, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ModelFileError(
            f"model file '{path}' cannot be read: {error.strerror or error}; check its permissions"
        ) from error
    # torch.save writes a zip whose first member is NAME/data.pkl; older ones write the pickle itself.
    zipped = head.startswith(ZIP) and b"data.pkl" in head
    if path.suffix.lower() in SUFFIXES or zipped or head.startswith(PICKLE_PROTOCOLS):
        raise ModelFileError(
            f"model file '{path}' is a Python pickle, which can run any code when opened, and is refused; "
            "take a GGUF or safetensors edition of the model"
        )
