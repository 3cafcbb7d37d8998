"""The head of whatever lies at a path."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rbee.contract.errors import ModelFileError
from rbee.contract.formats.folders import read_folder, weight_files
from rbee.contract.formats.gguf import MAGIC, read_counted
from rbee.contract.formats.head import ModelHead
from rbee.contract.formats.opening import opened
from rbee.contract.formats.parts import models_among, parts_of
from rbee.contract.formats.pickles import refuse_pickle
from rbee.contract.formats.refusals import only_refusals, refusal, shown
from rbee.contract.formats.safetensors import read_safetensors

MOST_ENTRIES = 10_000


def read_model(path: Path) -> ModelHead:
    """The head of a model: a GGUF file with all its parts, a safetensors file, or a folder with either.

    Raises:
        ModelFileError: there is none, more than one, or a damaged one; or it is a pickle.
    """
    with only_refusals(str(path)):
        if path.is_dir():
            return read_folder(path) if weight_files(path) else _ggufs(parts_of(_only_gguf(path)))
        refuse_pickle(path)
        with opened(path) as (file, size):
            start = file.read(9)
            if not start.startswith(MAGIC) and (start[8:] == b"{" or path.suffix.lower() == ".safetensors"):
                file.seek(0)
                return read_safetensors(file, size, name=str(path))
        return _ggufs(parts_of(path))


def _only_gguf(folder: Path) -> Path:
    name = shown(str(folder))
    files = []
    for count, path in enumerate(folder.iterdir()):
        if count >= MOST_ENTRIES:
            raise ModelFileError(f"folder '{name}' holds more than {MOST_ENTRIES} entries; name a file in it")
        if path.suffix.lower() == ".gguf" and path.is_file():
            files.append(path)
    models = models_among(files)
    if len(models) == 1:
        return models[0]
    if not models:
        raise ModelFileError(
            f"folder '{name}' holds no model. Formats that work: GGUF files, and folders with config.json and "
            "*.safetensors."
        )
    listed = ", ".join(f"'{shown(model.name)}'" for model in models[:20])
    raise ModelFileError(f"folder '{name}' holds {len(models)} models: {listed}; name one of these files")


def _ggufs(parts: tuple[Path, ...]) -> ModelHead:
    """One head for all parts: what the first tells, with the sums of all."""
    heads: list[ModelHead] = []
    elements = 0
    for part in parts:
        refuse_pickle(part)
        with opened(part) as (file, size):
            head, weights = read_counted(file, size, str(part))
        told = (head.split_count or len(parts), head.split_number or 0)
        if head.split_count is not None and told != (len(parts), len(heads)):
            raise refusal(
                str(part),
                f"calls itself part {told[1] + 1} of {told[0]}, and lies here as part {len(heads) + 1} of {len(parts)}",
                "give all parts of the model the names they were published with",
            )
        heads.append(head)
        elements += weights
    first = heads[0]
    if len(heads) == 1:
        return first
    sizes = [head.figures.weights_bytes for head in heads]
    needed = [head.needed_bytes for head in heads]
    figures = msgspec.structs.replace(
        first.figures,
        parameters=elements or first.figures.parameters,
        weights_bytes=_sum(sizes),
    )
    return msgspec.structs.replace(first, figures=figures, data_start=None, needed_bytes=_sum(needed))


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
