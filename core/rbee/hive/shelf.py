"""What a hive shows of its models to the queen and to other hives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from rbee.catalog import CatalogEntry, ModelCatalog
from rbee.catalog.layout import folder_name
from rbee.contract.checksums import content_key
from rbee.contract.errors import NotFoundError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.wire import HeldModel, HeldModels, ModelStanding
from rbee.hive.sums import Checksums, state_of


class ServedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be sent.

    Attributes:
        name: of the file in its model.
        path: where it is.
        tag: changes with its content.
    """

    name: str
    path: Path
    tag: str


class Shelf:
    """Reads the catalogue; changes nothing.

    Args:
        hive_id: whose.
        catalog: models that are here.
    """

    def __init__(self, hive_id: str, catalog: ModelCatalog) -> None:
        self._hive_id = hive_id
        self._catalog = catalog
        self._checksums = Checksums()
        self._keys: dict[str, str] = {}
        self._keys_seq = -1

    async def close(self) -> None:
        """End what is being read."""
        await self._checksums.close()

    async def held(self) -> HeldModels:
        """Models whose files are all here."""
        seq = self._catalog.seq
        entries = [entry for entry in await self._catalog.list() if await self._catalog.has_files(entry)]
        models = [
            HeldModel(variant=entry.variant, key=folder_name(entry.variant.model_id), figures=_plain(entry))
            for entry in entries
        ]
        return HeldModels(
            hive_id=self._hive_id, models_seq=seq, models=tuple(sorted(models, key=lambda one: one.variant.model_id))
        )

    async def standing(self, key: str, *, checksums: bool = False) -> ModelStanding:
        """How far this hive is with a model.

        Args:
            key: name of its folder.
            checksums: compute those that are not known; for models used in place.

        Raises:
            NotFoundError: it is neither here nor being fetched.
        """
        entry = await self._find(key)
        if entry is not None:
            variant = await self._summed(entry) if checksums else entry.variant
            return ModelStanding(hive_id=self._hive_id, key=key, state="available", variant=variant)
        for variant in self._catalog.fetching():
            fetch = self._catalog.fetch_of(variant.model_id)
            if fetch is not None and folder_name(variant.model_id) == key:
                return ModelStanding(
                    hive_id=self._hive_id,
                    key=key,
                    state="downloading",
                    variant=variant,
                    done_bytes=fetch.done,
                    at_source=fetch.at_source,
                )
        raise NotFoundError(f"Hive {self._hive_id!r} has no model {key!r}.")

    async def file(self, key: str, name: str, sha256: str | None) -> ServedFile:
        """A file of a model that is here.

        Args:
            key: name of the model's folder.
            name: of the file.
            sha256: the content that is wanted; None for whatever there is.

        Raises:
            NotFoundError: there is no such file, or it is another.
        """
        entry = await self._find(key)
        wanted = None if entry is None else next((one for one in entry.variant.files if one.name == name), None)
        if entry is None or wanted is None:
            raise NotFoundError(f"Hive {self._hive_id!r} has no file {name!r} of a model {key!r}.")
        path = await self._folder(entry.variant) / name
        state = await asyncio.to_thread(state_of, path)
        known = wanted.sha256 or self._checksums.known(state)
        if sha256 is not None and sha256 != known:
            raise NotFoundError(f"Hive {self._hive_id!r} has another file {name!r}.")
        tag = known or wanted.git_oid or f"{state.size_bytes}-{state.changed_ns}"
        return ServedFile(name=name, path=path, tag=tag)

    async def _folder(self, variant: ModelVariant) -> Path:
        if variant.in_place is None:
            return self._catalog.folder_of(variant.model_id)
        place = Path(variant.in_place)
        # A model in place is a folder, or a file with others of its model beside it.
        return place if await asyncio.to_thread(place.is_dir) else place.parent

    async def _find(self, key: str) -> CatalogEntry | None:
        """The model of a key, if its files are here; only its own row and files are looked at."""
        if self._keys_seq != self._catalog.seq:
            # Taken before the list is read: what changes meanwhile has it read again.
            seq = self._catalog.seq
            models = await self._catalog.list()
            self._keys = {folder_name(entry.variant.model_id): entry.variant.model_id for entry in models}
            self._keys_seq = seq
        model_id = self._keys.get(key)
        return None if model_id is None else await self._catalog.find(model_id)

    async def _summed(self, entry: CatalogEntry) -> ModelVariant:
        """The variant as another machine can take it: not in place, every file with a checksum."""
        folder = await self._folder(entry.variant)
        files = []
        for file in entry.variant.files:
            if content_key(file) is None:
                state, found = await self._checksums.of(folder / file.name)
                files.append(ModelFile(name=file.name, size_bytes=state.size_bytes, sha256=found))
            elif file.size_bytes is None:
                state = await asyncio.to_thread(state_of, folder / file.name)
                files.append(msgspec.structs.replace(file, size_bytes=state.size_bytes))
            else:
                files.append(file)
        return msgspec.structs.replace(entry.variant, files=tuple(files), in_place=None)


def _plain(entry: CatalogEntry) -> ModelFigures | None:
    """Figures without the template, which nobody at a distance needs and which may be long."""
    return None if entry.figures is None else msgspec.structs.replace(entry.figures, chat_template=None)
