"""The vendor."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rbee.contract import CancelToken, FetchProgress, ModelHit, ModelVariant, ModelVendor
from rbee.contract.errors import ModelFileError, ModelNotFoundError, RbeeError
from rbee.contract.formats import models_among, parts_of, refuse_pickle, weight_files

from rbee_local import ollama
from rbee_local.grammar import OLLAMA, StoredName, is_local, path_of, stored_name
from rbee_local.heads import Heads
from rbee_local.repositories import MOST_REPOSITORIES, Place, places, places_of, variants_in
from rbee_local.variants import VENDOR, folder_variant, gguf_variant

FORMATS = "Formats that work: GGUF files, and folders with config.json and *.safetensors."
MOST_LOOKED_AT = 200


class LocalVendor(ModelVendor):
    """Files and folders of this machine, used where they are: never copied, changed or deleted."""

    name = VENDOR
    names_files = True

    def __init__(self) -> None:
        self._heads = Heads()

    def supports(self, ref: str) -> bool:
        """True for paths, ``file:...``, ``*.gguf``, and ``local:`` and ``ollama:`` names of other programs' stores."""
        return is_local(ref) or stored_name(ref) is not None

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The one model at a path, or those behind a name in a store.

        Raises:
            ModelNotFoundError: nothing is there.
            ModelFileError: what is there is no usable model, or more than one.
        """
        if stored := stored_name(ref):
            return self._stored(ref, stored)
        if not is_local(ref):
            raise ModelNotFoundError(f"'{ref}' is no path on this machine; write it as 'file:{ref}' or './{ref}'")
        path = path_of(ref)
        try:
            if path.is_dir():
                return (self._folder(path),)
            if path.is_file():
                return (self._gguf(path),)
        except OSError as error:
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

    def known(self) -> Sequence[ModelVariant]:
        """What other programs' stores hold; damaged models are left out."""
        found: dict[str, ModelVariant] = {}
        for place, _ in zip(places(), range(MOST_REPOSITORIES), strict=False):
            for variant in variants_in(place, self._heads):
                found.setdefault(variant.model_id, variant)
        for name in ollama.names():
            try:
                for variant in self._stored(name, stored_name(name) or StoredName(scheme=OLLAMA, repository=name)):
                    found.setdefault(variant.model_id, variant)
            except (ModelFileError, ModelNotFoundError):
                continue
        return tuple(found.values())

    def search(self, text: str, limit: int) -> Sequence[ModelHit]:
        """Those of other programs' stores whose names hold every word of a text."""
        words = text.lower().split()
        found = (one for one in self.known() if all(word in _after_scheme(one.name) for word in words))
        hits = (ModelHit(name=one.name, vendor=self.name, formats=(one.format,), summary=one.in_place) for one in found)
        return tuple(itertools.islice(hits, limit))

    def _stored(self, ref: str, name: StoredName) -> Sequence[ModelVariant]:
        if name.scheme == OLLAMA:
            return (ollama.variant_of(name, self._heads),)
        found: dict[str, ModelVariant] = {}
        wanted: list[ModelVariant] = []
        for place in places_of(name.repository):
            for variant in variants_in(place, self._heads):
                if variant.model_id not in found:
                    found[variant.model_id] = variant
                    if _is_meant(variant, name, place):
                        wanted.append(variant)
        if wanted:
            return wanted
        there = f" There are: {', '.join(list(found)[:20])}." if found else ""
        raise ModelNotFoundError(
            f"No store of this machine holds '{ref}' whole: looked into the hub's cache and LM Studio's folders."
            f"{there or ' To fetch it, leave out the `local:`.'}"
        )

    def _folder(self, path: Path) -> ModelVariant:
        if weights := weight_files(path):
            return folder_variant(f"file:{path}", str(path), path, weights, self._heads.folder(path, weights))
        files = [file for file in path.iterdir() if file.is_file()]
        models = models_among([file for file in files if file.suffix.lower() == ".gguf"])
        if len(models) == 1:
            return self._gguf(models[0])
        if models:
            names = ", ".join(f"'{model.name}'" for model in models[:20])
            raise ModelFileError(f"folder '{path}' holds {len(models)} models: {names}; name one of these files")
        for file in sorted(files)[:MOST_LOOKED_AT]:
            refuse_pickle(file)
        raise ModelFileError(f"folder '{path}' holds no model. {FORMATS}")

    def _gguf(self, path: Path) -> ModelVariant:
        refuse_pickle(path)
        if path.suffix.lower() == ".safetensors":
            raise ModelFileError(
                f"'{path}' holds weights only; name its folder '{path.parent}', with config.json in it"
            )
        parts = parts_of(path)
        return gguf_variant(f"file:{parts[0]}", str(parts[0]), parts, self._heads.parts(parts))


def _after_scheme(name: str) -> str:
    return name.partition(":")[2].lower()


def _is_meant(variant: ModelVariant, name: StoredName, place: Place) -> bool:
    if name.file is not None:
        return variant.in_place == str(place.folder / name.file)
    return name.quantization in {None, variant.quantization}
