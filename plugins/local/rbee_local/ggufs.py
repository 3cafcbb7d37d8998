"""GGUF models made of one file or of numbered parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rbee.contract.errors import ModelFileError

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])((?:IQ|TQ|Q)\d(?:_[A-Z0-9]{1,3}){0,3}|BF16|FP?16|FP?32|MXFP4)(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def parts_of(path: Path) -> tuple[Path, ...]:
    """All files of the model that `path` belongs to, the first part first.

    Raises:
        ModelFileError: a part is missing, or the numbers in the name make no sense.
    """
    match = _PART.fullmatch(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count:
        raise ModelFileError(f"model file '{path}' calls itself part {match['number']} of {match['count']}; rename it")
    parts = []
    for number in range(1, count + 1):
        part = path.with_name(f"{match['stem']}-{number:05d}-of-{match['count']}{path.suffix}")
        if not part.is_file():
            raise ModelFileError(
                f"model file '{path}' is one of {count} parts and '{part.name}' is missing; "
                f"fetch it into '{path.parent}'"
            )
        parts.append(part)
    return tuple(parts)


def models_among(files: Sequence[Path]) -> list[Path]:
    """One path a model: later parts of a split model and image projectors are no models of their own."""
    models: dict[str, Path] = {}
    for file in sorted(files):
        match = _PART.fullmatch(file.name)
        if not file.name.lower().startswith("mmproj"):
            models.setdefault(match["stem"] if match else file.name, file)
    return list(models.values())


def quantization_in(name: str) -> str | None:
    """The quantisation a file's name ends with, as ``Q4_K_M``; None when it names none."""
    found = _QUANTIZATION.findall(name)
    if not found:
        return None
    return str(found[-1]).upper().replace("FP", "F")
