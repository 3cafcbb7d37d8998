"""Folders with a configuration and safetensors files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from rbee.contract.errors import ModelFileError
from rbee.contract.formats.configs import (
    CONFIG,
    OWN_FORMATS,
    bits_of,
    chat_template,
    figures_of,
    format_of,
    read_config,
    read_json,
)
from rbee.contract.formats.head import ModelHead
from rbee.contract.formats.opening import opened
from rbee.contract.formats.pickles import refuse_pickle
from rbee.contract.formats.refusals import only_refusals, refusal, shown
from rbee.contract.formats.safetensors import main_type, parameters, read_weights

INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"
LARGEST_INDEX: Final = 64 << 20
MOST_FILES: Final = 2000


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a safetensors model, sorted; empty when the folder holds none.

    Raises:
        ModelFileError: a file of the index is missing.
    """
    with only_refusals(str(folder)):
        if not (folder / CONFIG).is_file():
            return ()
        if (folder / INDEX).is_file():
            return _indexed(folder)
        if (folder / SINGLE).is_file():
            return (folder / SINGLE,)
        files = tuple(sorted(path for path in folder.glob("*.safetensors") if path.is_file()))
        if len(files) > MOST_FILES:
            raise refusal(str(folder), f"holds {len(files)} weight files", "name a folder with one model")
        return files


def read_folder(folder: Path) -> ModelHead:
    """The head of a model made of ``config.json`` and safetensors files.

    Raises:
        ModelFileError: it is no such folder, or one of its files is damaged.
    """
    with only_refusals(str(folder)):
        files = weight_files(folder)
        if not files:
            raise ModelFileError(
                f"folder '{shown(str(folder))}' holds no model: {CONFIG} and *.safetensors are looked for; name another"
            )
        config = read_config(folder)
        figures = figures_of(config)
        elements: Counter[str] = Counter()
        weights_bytes = needed = 0
        for path in files:
            refuse_pickle(path)
            with opened(path) as (file, size):
                weights = read_weights(file, size, str(path))
            elements.update(weights.elements)
            weights_bytes += weights.head.figures.weights_bytes or 0
            needed += weights.head.needed_bytes or 0
        kind = format_of(config)
        # How many weights the elements of a packed tensor stand for, only the engine knows.
        packed = kind in OWN_FORMATS
        figures = msgspec.structs.replace(
            figures,
            parameters=None if packed else parameters(dict(elements), bits_of(config)),
            quantization=figures.quantization or (None if packed else main_type(dict(elements))),
            weights_bytes=weights_bytes or None,
            chat_template=chat_template(folder),
        )
        return ModelHead(format=kind, figures=figures, needed_bytes=needed)


def _indexed(folder: Path) -> tuple[Path, ...]:
    names = sorted(set(read_json(folder / INDEX, _Index, LARGEST_INDEX).weight_map.values()))
    if len(names) > MOST_FILES or any("/" in name or "\\" in name or name in {"", ".", ".."} for name in names):
        raise refusal(str(folder / INDEX), "names files outside its folder, or more than any model has")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelFileError(
            f"model folder '{shown(str(folder))}' lacks '{missing[0][:200]}' ({len(missing)} missing); fetch it again"
        )
    return tuple(folder / name for name in names)
