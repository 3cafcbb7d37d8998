"""A vendor of files by HTTP, over the stand-in for a hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelHit, ModelVariant
from rbee.contract.errors import ModelNotFoundError
from rbee.testing.hub import Hub


class RemoteVendor(HttpModelVendor):
    """Variants that a test names; their files are a repository's of the stand-in."""

    name = "remote"
    names_anything = True

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.variants: tuple[ModelVariant, ...] = ()
        self.hits: tuple[ModelHit, ...] = ()

    def put(self, repository: str, files: dict[str, bytes], model_format: str = "gguf", **more: Any) -> ModelVariant:
        """Another variant of one model, in a repository of its own."""
        self.hub.add(repository, files)
        variant = ModelVariant(
            model_id=f"remote:{repository}",
            name=repository,
            vendor=self.name,
            format=model_format,
            files=tuple(ModelFile(name=name, size_bytes=len(data)) for name, data in files.items()),
            **more,
        )
        self.variants += (variant,)
        return variant

    def supports(self, ref: str) -> bool:
        return "/" in ref

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        if ref.startswith("none/"):
            raise ModelNotFoundError(f"remote has no {ref!r}")
        return self.variants

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        return FileSource(url=f"{self.hub.url}/{variant.name}/resolve/main/{file.name}", direct=True)

    def search(self, text: str, limit: int) -> Sequence[ModelHit]:
        return self.hits
