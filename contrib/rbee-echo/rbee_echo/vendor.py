"""Where echo models come from: nowhere, a name is enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rbee.contract import CancelToken, FetchProgress, ModelVariant, ModelVendor
from rbee.contract.errors import ModelNotFoundError

from rbee_echo.ref import EchoRef

CONTEXT_LENGTH = 4096
"""Tokens, which are words here, of prompt and answer together."""


class EchoVendor(ModelVendor):
    """Resolves ``echo`` and ``echo:NAME``; there are no files."""

    name = "echo"

    def supports(self, ref: str) -> bool:
        """True for ``echo`` and all that begins with ``echo:``."""
        return ref == "echo" or ref.startswith("echo:")

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The one variant of a model.

        Raises:
            ModelNotFoundError: the name is malformed.
        """
        try:
            parsed = EchoRef.parse(ref)
        except ValueError as error:
            raise ModelNotFoundError(f"{ref!r} names no echo model: {error}. Try 'echo' or 'echo:slow'.") from error
        return (
            ModelVariant(
                model_id=parsed.canonical,
                name=parsed.short,
                vendor=self.name,
                format="echo",
                context_length=CONTEXT_LENGTH,
            ),
        )

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Bring all files, which are none."""
        del variant, destination
        cancel.raise_if_cancelled()
        progress(0, 0)
        cancel.raise_if_cancelled()

    def known(self) -> Sequence[ModelVariant]:
        """A quick one and a slow one."""
        return (*self.resolve("echo"), *self.resolve("echo:slow"))
