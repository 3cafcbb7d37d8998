"""The vendor and its one model."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from rbee.contract import CancelToken, Capability, FetchProgress, ModelFile, ModelVariant, ModelVendor
from rbee.contract.errors import InsufficientDiskError, ModelNotFoundError

BLOCK = 256 * 1024

TINY = ModelVariant(
    model_id="demo:rbee-tiny:Q8_0",
    name="demo",
    vendor="demo",
    format="gguf",
    quantization="Q8_0",
    context_length=2048,
    files=(
        ModelFile(
            name="rbee-tiny-q8_0.gguf",
            size_bytes=4_812_288,
            sha256="450c2c8cb192a18e7cbf9ae6917c4202e9cc74062c35d0545fdd910ec6e5ad3c",
        ),
    ),
    capabilities=frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS}),
)

NAMES = frozenset({"demo", "rbee-tiny", "demo:rbee-tiny", TINY.model_id})
"""Everything a person may type to get the model."""


class DemoVendor(ModelVendor):
    """Copies the model out of this package: no network, no account, five megabytes."""

    name = "demo"

    def supports(self, ref: str) -> bool:
        """True for the model's names and for anything that begins with ``demo:``."""
        return ref in NAMES or ref.startswith("demo:")

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The one variant there is.

        Raises:
            ModelNotFoundError: the name is none of the model's.
        """
        if ref not in NAMES:
            raise _unknown(ref)
        return (TINY,)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Copy the file, under a temporary name until it is whole.

        Raises:
            ModelNotFoundError: the variant is not of this vendor.
            CancelledByCallerError: through `cancel`.
            InsufficientDiskError: the disk is full.
        """
        if variant.model_id != TINY.model_id:
            raise _unknown(variant.model_id)
        for file in TINY.files:
            target = destination / file.name
            part = target.with_name(f"{target.name}.part")
            try:
                with model_data(file.name).open("rb") as source, part.open("wb") as copy:
                    _copy(source, copy, file.size_bytes, progress, cancel)
                part.replace(target)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                raise InsufficientDiskError(
                    f"no room for '{file.name}' ({file.size_bytes} bytes) in '{destination}'; "
                    "free some space there and try again"
                ) from error

    def known(self) -> Sequence[ModelVariant]:
        """The one model."""
        return (TINY,)


def model_data(name: str) -> Traversable:
    """A file of the model as the package carries it."""
    return files("rbee_demo").joinpath("data", name)


def _copy(source: IO[bytes], copy: IO[bytes], total: int | None, progress: FetchProgress, cancel: CancelToken) -> None:
    done = 0
    cancel.raise_if_cancelled()
    while block := source.read(BLOCK):
        copy.write(block)
        done += len(block)
        progress(done, total)
        cancel.raise_if_cancelled()


def _unknown(ref: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"vendor 'demo' has no model '{ref}'; it has one model, '{TINY.model_id}', also called 'demo'"
    )
