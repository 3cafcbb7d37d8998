"""What a vendor of models writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from rbee.contract.types import ModelVariant

FetchProgress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None when unknown), as often as the vendor likes."""


class CancelToken(Protocol):
    """Tells work in a thread that nobody wants its result any more."""

    @property
    def cancelled(self) -> bool:
        """True once cancelled; never goes back."""

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledByCallerError` once cancelled; call it between blocks of work."""


class ModelVendor(ABC):
    """A place where models come from.

    One object a program, made without arguments and without work.  Methods block and are called in threads,
    several at a time.  The catalogue owns the folders: a vendor writes only below the `destination` it is given,
    and the catalogue verifies sizes and checksums before anything becomes visible.

    A whole plugin::

        class ShelfVendor(ModelVendor):
            name = "shelf"

            def supports(self, ref):
                return ref.startswith("shelf:")

            def resolve(self, ref):
                return (ModelVariant(model_id=ref, name=ref, vendor=self.name, format="gguf",
                                     in_place="/shelf/" + ref[6:] + ".gguf"),)

            def fetch(self, variant, destination, progress, cancel):
                raise AssertionError("variants that stay in place are never fetched")
    """

    name: ClassVar[str]
    names_files: ClassVar[bool] = False
    """Its references name files of this machine: only callers with the colony's token may make it look at them."""

    @abstractmethod
    def supports(self, ref: str) -> bool:
        """True when `ref` is in this vendor's grammar.  Must not touch disk or network, nor raise."""

    @abstractmethod
    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The concrete artefacts behind a name, best first.

        Args:
            ref: a name that `supports` accepted, or a canonical `model_id` of this vendor.

        Raises:
            ModelNotFoundError: there is no such model.
            ModelFileError: it exists and is not a usable model.
            UnreachableError: the source does not answer.
        """

    @abstractmethod
    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Bring the variant's files below `destination`, an existing folder that may hold parts of an earlier try.

        Not called for a variant with `in_place`.  Called again after a failure with the same folder.

        Must look at `cancel` at least once a second, also while it waits for the network; one that does not is left
        behind after five seconds, and the model cannot be fetched again until its thread ends.

        Raises:
            CancelledByCallerError: through `cancel`; what was written stays for a later try.
            InsufficientDiskError, UnreachableError, ModelNotFoundError: as their names say.
        """

    def known(self) -> Sequence[ModelVariant]:
        """Models that can be had without further naming, for lists; quick and without network."""
        return ()
