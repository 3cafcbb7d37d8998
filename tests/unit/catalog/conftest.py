"""A vendor whose files lie on a hub of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelVariant
from rbee.contract.errors import ModelNotFoundError
from rbee.testing.hub import Hub


class HubVendor(HttpModelVendor):
    """Models of one repository each, by name."""

    name = "hub"

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.variants: dict[str, ModelVariant] = {}
        self.copies: dict[str, Path] = {}

    def put(self, name: str, files: dict[str, bytes], *, revision: str = "main", checksums: bool = True):
        """Offer a model; the same name again is its next revision."""
        commit = self.hub.add(f"org/{name}", files, revision=revision)
        self.variants[name] = ModelVariant(
            model_id=f"hub:{name}",
            name=name,
            vendor=self.name,
            format="blob",
            revision=commit.sha,
            files=tuple(
                ModelFile(
                    name=file,
                    size_bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest() if checksums else None,
                )
                for file, data in files.items()
            ),
        )
        return self.variants[name]

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        name = ref.removeprefix("hub:")
        if name not in self.variants:
            raise ModelNotFoundError(f"no {name!r}")
        return (self.variants[name],)

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        name = variant.model_id.removeprefix("hub:")
        return FileSource(url=f"{self.hub.url}/org/{name}/resolve/{variant.revision}/{file.name}")

    def held(self, variant: ModelVariant, file: ModelFile) -> Path | None:
        return self.copies.get(file.name)


def named(variant: ModelVariant, model_id: str) -> ModelVariant:
    """The same files under another name."""
    return msgspec.structs.replace(variant, model_id=model_id, name=model_id)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def shop(hub: Hub) -> HubVendor:
    return HubVendor(hub)
