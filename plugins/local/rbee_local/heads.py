"""Heads of files, read once as long as the files stay the same."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rbee.contract import ModelFigures
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import ModelHead, read_folder, read_gguf, read_model

PEEKED_BYTES = 128 * 1024
MOST_KEPT = 4096

_Key = tuple[str, str, tuple[int, ...]]


class Heads:
    """What heads tell, without the chat templates: these are long, and whoever runs the model reads them anew."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, ModelHead] = OrderedDict()
        self._lock = threading.Lock()

    def parts(self, parts: Sequence[Path]) -> ModelFigures:
        """Of a GGUF model, checked against its files.

        Raises:
            ModelFileError: it is no usable model.
        """
        return self._once("whole", parts, lambda: read_model(parts[0])).figures

    def folder(self, folder: Path, weights: Sequence[Path]) -> ModelHead:
        """Of a model in safetensors files, checked against them, with its format.

        Raises:
            ModelFileError: it is no usable model.
        """
        return self._once("whole", (folder / "config.json", *weights), lambda: read_folder(folder))

    def peek(self, path: Path) -> ModelFigures:
        """Of a GGUF file what its first bytes tell: quick, for lists.

        Raises:
            ModelFileError: it does not begin as such a file does.
        """
        return self._once("peek", (path,), lambda: _first_bytes(path)).figures

    def _once(self, how: str, files: Sequence[Path], read: Callable[[], ModelHead]) -> ModelHead:
        try:
            states = [file.stat() for file in files]
        except OSError as error:
            raise ModelFileError(f"'{files[0]}' cannot be read: {error.strerror}; check its permissions") from error
        marks = tuple(mark for state in states for mark in (state.st_ino, state.st_size, state.st_mtime_ns))
        key = (how, str(files[0]), marks)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        head = read()
        head = msgspec.structs.replace(head, figures=msgspec.structs.replace(head.figures, chat_template=None))
        with self._lock:
            self._kept[key] = head
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return head


def _first_bytes(path: Path) -> ModelHead:
    if not path.is_file():
        raise ModelFileError(f"'{path}' is no file; name a model's file")
    try:
        with path.open("rb") as file:
            data = file.read(PEEKED_BYTES)
    except OSError as error:
        raise ModelFileError(f"'{path}' cannot be read: {error.strerror}; check its permissions") from error
    return read_gguf(io.BytesIO(data), None, name=str(path), partial=True)
