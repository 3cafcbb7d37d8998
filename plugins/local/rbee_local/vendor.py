"""The vendor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rbee.contract import CancelToken, Capability, FetchProgress, ModelFile, ModelVariant, ModelVendor
from rbee.contract.errors import ModelFileError, ModelNotFoundError, RbeeError

from rbee_local.folders import context_length, safetensors_in
from rbee_local.gguf import MAGIC, read_head
from rbee_local.ggufs import models_among, parts_of, quantization_in
from rbee_local.grammar import is_local, path_of
from rbee_local.pickles import SUFFIXES, refuse_pickle

CAPABILITIES = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS})
"""A file does not tell what its model is good at, so nothing is held back that an engine offers."""

FORMATS = f"Formats that work: GGUF files ({MAGIC.decode()}), and folders with config.json and *.safetensors."


class LocalVendor(ModelVendor):
    """Files and folders of this machine, used where they are: never copied, changed or deleted."""

    name = "local"
    names_files = True

    def supports(self, ref: str) -> bool:
        """True for ``file:...``, paths beginning with ``/``, ``./``, ``../`` or ``~``, and ``*.gguf``."""
        return is_local(ref)

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The one model at a path.

        Raises:
            ModelNotFoundError: nothing is there.
            ModelFileError: what is there is no usable model, or more than one.
        """
        if not is_local(ref):
            raise ModelNotFoundError(f"'{ref}' is no path on this machine; write it as 'file:{ref}' or './{ref}'")
        path = path_of(ref)
        try:
            if path.is_dir():
                return (_folder(path),)
            if path.is_file():
                return (_gguf(path),)
        except PermissionError as error:
            raise ModelFileError(f"'{path}' cannot be read: {error.strerror}; check its permissions") from error
        raise ModelFileError(f"'{path}' is neither a file nor a folder. {FORMATS}")

    def fetch(
        self,
        variant: ModelVariant,
        destination: Path,
        progress: FetchProgress,  # the contract's signature
        cancel: CancelToken,  # the contract's signature
    ) -> None:
        """Never needed.

        Raises:
            RbeeError: always; these models are used in place.
        """
        raise RbeeError(
            f"model '{variant.model_id}' is used where it is and must not be fetched into '{destination}'; "
            "open its `in_place` path instead"
        )


def _folder(path: Path) -> ModelVariant:
    if weights := safetensors_in(path):
        return ModelVariant(
            model_id=f"file:{path}",
            name=str(path),
            vendor=LocalVendor.name,
            format="safetensors",
            files=_listed(path, weights),
            in_place=str(path),
            context_length=context_length(path),
            capabilities=CAPABILITIES,
        )
    files = [file for file in path.iterdir() if file.is_file()]
    models = models_among([file for file in files if file.suffix.lower() == ".gguf"])
    if len(models) == 1:
        return _gguf(models[0])
    if models:
        names = ", ".join(f"'{model.name}'" for model in models)
        raise ModelFileError(f"folder '{path}' holds {len(models)} models: {names}; name one of these files")
    for file in files:
        if file.suffix.lower() in SUFFIXES:
            refuse_pickle(file)
    raise ModelFileError(f"folder '{path}' holds no model. {FORMATS}")


def _gguf(path: Path) -> ModelVariant:
    refuse_pickle(path)
    if path.suffix.lower() == ".safetensors":
        raise ModelFileError(f"'{path}' holds weights only; name its folder '{path.parent}', with config.json in it")
    parts = parts_of(path)
    heads = [read_head(part) for part in parts]
    return ModelVariant(
        model_id=f"file:{parts[0]}",
        name=str(parts[0]),
        vendor=LocalVendor.name,
        format="gguf",
        files=_listed(path.parent, parts),
        quantization=quantization_in(parts[0].stem) or heads[0].quantization,
        in_place=str(parts[0]),
        context_length=heads[0].context_length,
        capabilities=CAPABILITIES,
    )


def _listed(folder: Path, paths: Sequence[Path]) -> tuple[ModelFile, ...]:
    return tuple(ModelFile(name=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size) for path in paths)
