"""Models that are a folder: a configuration, a tokenizer and safetensors files."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from rbee.contract import ModelFigures, ModelFile
from rbee.contract.errors import ModelFileError
from rbee.contract.formats.configs import CONFIG, LARGEST_CONFIG, Config, figures_of
from rbee.contract.model_refs import quantization_in

from rbee_huggingface.listing import Library, Listing

SUFFIX: Final = ".safetensors"
FORMATS: Final = frozenset({"safetensors", "mlx", "exl2", "exl3"})
LARGEST_INDEX: Final = 32 << 20

_INDEX_END: Final = ".safetensors.index.json"
_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_STEMS: Final = ("model", "output", "consolidated")
_BESIDE: Final = re.compile(
    r"config\.json|generation_config\.json|special_tokens_map\.json|added_tokens\.json|quantization_config\.json"
    r"|vocab\.(?:json|txt)|merges\.txt|tokenizer[A-Za-z0-9._-]*\.(?:json|model|txt|tiktoken)"
    r"|chat_template[A-Za-z0-9._-]*\.(?:json|jinja)|[A-Za-z0-9._-]+\.model|tekken\.json"
)
"""What engines read beside the weights; never code."""

_ADAPTERS: Final = ("adapter_", "lora", "optimizer", "training_")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class FolderModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        format: of `FORMATS`.
        files: the first of the weights first.
        quantization: as its configuration tells it, or the branch.
        figures: from its configuration; None where that was too large to be read.
    """

    format: str
    files: tuple[ModelFile, ...]
    quantization: str | None
    figures: ModelFigures | None


def model_in(library: Library, listing: Listing) -> FolderModel | None:
    """The model in a repository's root, by one or two small requests; None when there is none.

    Raises:
        ModelFileError: a file of its index is missing.
        PermissionDeniedError, UnreachableError: its configuration cannot be read.
    """
    if CONFIG not in listing.files or not any(is_weights(name) for name in listing.files):
        return None
    config = _config(library.small_file(listing, CONFIG, LARGEST_CONFIG))
    weights = _weights(library, listing)
    if not weights:
        return None
    beside = [file for name, file in listing.files.items() if _BESIDE.fullmatch(name)]
    beside += [file for name, file in listing.files.items() if "/" not in name and name.endswith(_INDEX_END)]
    kind = _format(listing, config)
    figures = None
    if config is not None:
        figures = figures_of(msgspec.convert(config, Config))
    quantization = _bits(listing, config) if kind.startswith("exl") else None
    quantization = quantization or (figures.quantization if figures is not None else None)
    if figures is not None and figures.quantization != quantization:
        figures = msgspec.structs.replace(figures, quantization=quantization)
    return FolderModel(format=kind, files=(*weights, *beside), quantization=quantization, figures=figures)


def is_weights(name: str) -> bool:
    """Whether a file holds weights of a model in the root, and no adapter to one."""
    return "/" not in name and name.endswith(SUFFIX) and not name.lower().startswith(_ADAPTERS)


def guessed_format(tags: frozenset[str], library_name: str | None, name: str) -> str | None:
    """The format of a repository as far as its tags and its name tell; None when they tell none."""
    words = {word.lower() for word in tags}
    parts = set(re.split(r"[-_.]", name.lower()))
    for kind in ("exl3", "exl2"):
        if kind in words or kind in parts:
            return kind
    if "gguf" in words or library_name == "gguf" or "gguf" in parts:
        return "gguf"
    if "mlx" in words or library_name == "mlx":
        return "mlx"
    return "safetensors" if "safetensors" in words else None


def _weights(library: Library, listing: Listing) -> list[ModelFile]:
    names = sorted(name for name in listing.files if is_weights(name))
    for stem in dict.fromkeys((*_STEMS, *(_stem(name) for name in names))):
        index = f"{stem}{_INDEX_END}"
        if index in listing.files and (wanted := _indexed(library, listing, index)):
            return [listing.files[name] for name in wanted]
        if f"{stem}{SUFFIX}" in listing.files:
            return [listing.files[f"{stem}{SUFFIX}"]]
        if parts := [name for name in names if _stem(name) == stem]:
            match = _PART.fullmatch(parts[0])
            if match is not None and len(parts) != int(match["count"]):
                raise _incomplete(listing, f"{len(parts)} of {int(match['count'])} parts of '{stem}{SUFFIX}' are there")
            return [listing.files[name] for name in parts]
    return []


def _stem(name: str) -> str:
    match = _PART.fullmatch(name)
    return match["stem"] if match else name.removesuffix(SUFFIX)


def _indexed(library: Library, listing: Listing, index: str) -> list[str]:
    """Names of the weight files of an index; none when it cannot be used."""
    body = library.small_file(listing, index, LARGEST_INDEX)
    if body is None:
        return []
    try:
        wanted = sorted(set(msgspec.json.decode(body, type=_Index).weight_map.values()))
    except (msgspec.DecodeError, RecursionError) as error:
        raise _incomplete(listing, f"its index '{index}' cannot be read") from error
    for name in wanted:
        if not is_weights(name) or name not in listing.files:
            raise _incomplete(listing, f"{name[:200]!r} of its index is not there")
    return wanted


def _incomplete(listing: Listing, why: str) -> ModelFileError:
    return ModelFileError(f"The model in '{listing.repository}' is not whole: {why}. Take another repository.")


def _config(body: bytes | None) -> dict[str, Any] | None:
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        # Some writers put numbers without an end there; the core reads the file again when it is here.
        return None


def _format(listing: Listing, config: dict[str, Any] | None) -> str:
    told = (config or {}).get("quantization_config")
    method = str(told.get("quant_method", "")).lower() if isinstance(told, dict) else ""
    if method in {"exl2", "exl3"}:
        return method
    guess = guessed_format(listing.tags, listing.library_name, "")
    if guess in {"mlx", "exl2", "exl3"}:
        return guess
    if isinstance((config or {}).get("quantization"), dict):
        return "mlx"
    return "safetensors"


def _bits(listing: Listing, config: dict[str, Any] | None) -> str | None:
    told = (config or {}).get("quantization_config")
    bits = told.get("bits") if isinstance(told, dict) else None
    if isinstance(bits, int | float) and not isinstance(bits, bool) and 0 < bits < 64:
        return f"{float(bits)}BPW"
    return quantization_in(listing.revision or "")
