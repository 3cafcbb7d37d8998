"""GGUF models made of one file or of numbered parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rbee.contract.errors import ModelFileError
from rbee.contract.formats.refusals import only_refusals, shown

MOST_PARTS: Final = 1000

_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.IGNORECASE)


def parts_of(path: Path) -> tuple[Path, ...]:
    """All files of the model that `path` belongs to, the first part first.

    Raises:
        ModelFileError: a part is missing, or the numbers in the name make no sense.
    """
    match = _PART.fullmatch(path.name)
    if match is None:
        return (path,)
    with only_refusals(str(path)):
        return _numbered(path, match)


def _numbered(path: Path, match: re.Match[str]) -> tuple[Path, ...]:
    name, count = shown(str(path)), int(match["count"])
    if not 1 <= int(match["number"]) <= count <= MOST_PARTS:
        raise ModelFileError(f"model file '{name}' calls itself part {match['number']} of {match['count']}; rename it")
    parts = []
    for number in range(1, count + 1):
        part = path.with_name(f"{match['stem']}-{number:05d}-of-{match['count']}{path.suffix}")
        if not part.is_file():
            raise ModelFileError(
                f"model file '{name}' is one of {count} parts and '{shown(part.name)}' is missing; "
                f"fetch it into '{shown(str(path.parent))}'"
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
