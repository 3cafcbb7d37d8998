"""Models in GGUF files: one file each, or numbered parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from rbee.contract import ModelFile
from rbee.contract.errors import ModelFileError
from rbee.contract.model_refs import quantization_in

from rbee_huggingface.listing import Listing
from rbee_huggingface.quantizations import rank

SUFFIX: Final = ".gguf"

_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_NO_MODELS: Final = ("mmproj", "imatrix", "ggml-vocab")
_MOST_PARTS: Final = 1000


class Gguf(msgspec.Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        files: its parts in order, the first first.
        quantization: as its name tells it.
        missing: a part that the repository lacks; None for a whole model.
    """

    files: tuple[ModelFile, ...]
    quantization: str | None
    missing: str | None = None

    @property
    def name(self) -> str:
        """Path of the first file."""
        return self.files[0].name


def models_of(listing: Listing) -> list[Gguf]:
    """The models among a repository's files, the best first; image projectors and the like are none."""
    groups: dict[str, list[ModelFile]] = {}
    for name in sorted(listing.files):
        if is_model(name):
            match = _PART.fullmatch(name)
            groups.setdefault(f"{match['stem']}-{match['count']}" if match else name, []).append(listing.files[name])
    return sorted((_model(files) for files in groups.values()), key=_order)


def model_with(listing: Listing, name: str) -> Gguf:
    """The model that a file belongs to, which may be any of its parts.

    Raises:
        ModelFileError: it is none, or a part is missing.
    """
    if not is_model(name):
        raise ModelFileError(f"'{name}' of '{listing.repository}' is no model by itself; name a model's file.")
    for model in models_of(listing):
        if any(file.name == name for file in model.files):
            return whole(listing, model)
    raise ModelFileError(f"'{name}' of '{listing.repository}' is part of no whole model.")


def whole(listing: Listing, model: Gguf) -> Gguf:
    """The model, when all of its parts are there.

    Raises:
        ModelFileError: one is missing.
    """
    if model.missing is not None:
        raise ModelFileError(
            f"'{model.name}' of '{listing.repository}' lacks its part '{model.missing}'; take another file."
        )
    return model


def stem_of(model: Gguf) -> str:
    """The path of a model without its ending and its number of a part."""
    match = _PART.fullmatch(model.name)
    return match["stem"] if match else model.name[: -len(SUFFIX)]


def is_model(name: str) -> bool:
    """Whether a file's name is that of a model or a part of one."""
    last = name.lower().rpartition("/")[2]
    return last.endswith(SUFFIX) and not any(word in last for word in _NO_MODELS)


def _model(files: list[ModelFile]) -> Gguf:
    match = _PART.fullmatch(files[0].name)
    if match is None:
        return Gguf(files=tuple(files), quantization=_quantization(files[0].name.removesuffix(SUFFIX)))
    numbers = {int(found["number"]) for found in _parts(files)}
    count = int(match["count"])
    wanted = range(1, min(count, _MOST_PARTS) + 1)
    gap = next((number for number in wanted if number not in numbers), None)
    odd = len(files) != count or count > _MOST_PARTS
    missing = f"{match['stem']}-{gap or count:05d}-of-{match['count']}{SUFFIX}" if gap is not None or odd else None
    return Gguf(files=tuple(files), quantization=_quantization(match["stem"]), missing=missing)


def _parts(files: Iterable[ModelFile]) -> list[re.Match[str]]:
    return [match for file in files if (match := _PART.fullmatch(file.name)) is not None]


def _quantization(path: str) -> str | None:
    """By the file's own name, else by that of the folder it lies in."""
    folder, _, name = path.rpartition("/")
    return quantization_in(name) or quantization_in(folder.rpartition("/")[2])


def _order(model: Gguf) -> tuple[tuple[int, str], int, str]:
    return rank(model.quantization), model.name.count("/"), model.name
