"""From what llama.cpp wrote while it failed to the error a person gets."""

from __future__ import annotations

import re

from rbee.contract import LoadSpec
from rbee.contract.errors import InsufficientMemoryError, ModelFileError, RbeeError

LAST_LINE = b"exiting due to model loading error"
"""What the library writes at the end of every failed load."""

_LINE = re.compile(r"^(?:[\d.]+ )?E (?P<text>.*\S)\s*$", re.MULTILINE)
_SPEAKER = re.compile(r"^(?:\w+ +)?\w+: +")
_ECHO = re.compile(r"^(?:failed to (?:load model|create.context)\b|exiting due to )")
_MEMORY = re.compile(
    r"insufficient memory|out of memory|bad_alloc|cannot allocate memory|"
    r"(?:failed|unable) to (?:re)?allocate|alloc\w* failed",
    re.IGNORECASE,
)


def error_lines(text: str) -> list[str]:
    """The distinct error lines that say something, without time and speaker, in order."""
    lines: list[str] = []
    for match in _LINE.finditer(text):
        line = _SPEAKER.sub("", match["text"]).removeprefix("error loading model: ")
        line = _SPEAKER.sub("", line) if line.startswith("llama_model_loader:") else line
        if not _ECHO.match(line) and line not in lines:
            lines.append(line)
    return lines


def load_failure(spec: LoadSpec, path: str, text: str) -> RbeeError:
    """The error that fits what the library wrote.

    Args:
        spec: what was to be loaded.
        path: the model file.
        text: what came on standard error.

    Returns:
        `InsufficientMemoryError` when the library ran out of memory, else `ModelFileError`.
    """
    lines = error_lines(text)
    if any(_MEMORY.search(line) for line in lines):
        return InsufficientMemoryError(
            f"model file '{path}' does not fit the memory of {spec.device}: {lines[0]}. "
            "Ask for a smaller context, fewer slots, or a smaller quantisation.",
            details={"engine_said": lines},
        )
    reason = lines[0] if lines else "the library gave no reason"
    if "lora adapter" in reason:
        return ModelFileError(
            f"the adapters {spec.options.get('lora')!r} of the option 'lora' cannot be loaded: {reason.rstrip(':')}. "
            f"Check that they are GGUF files of adapters made for the model '{path}'.",
            details={"engine_said": lines},
        )
    return ModelFileError(
        f"model file '{path}' cannot be loaded: {reason}. Fetch it again or check that it is a GGUF file.",
        details={"engine_said": lines},
    )
