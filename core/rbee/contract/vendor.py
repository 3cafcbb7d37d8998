"""What a vendor of models writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from rbee.contract.types import ModelFile, ModelVariant

FetchProgress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None when unknown), as often as the vendor likes."""


class CancelToken(Protocol):
    """Tells work in a thread that nobody wants its result any more."""

    @property
    def cancelled(self) -> bool:
        """True once cancelled; never goes back."""

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledByCallerError` once cancelled; call it between blocks of work."""


class ModelHit(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a search has found; None for what the source does not tell.

    Attributes:
        name: what a person types to get it.
        vendor: name of the model vendor.
        formats: of its files, as far as they are known without looking closer.
        downloads: how often it was fetched lately, by everybody.
        likes: how many have marked it.
        updated_at: when it last changed.
        gated: something must be accepted there before it can be fetched.
        summary: one line for a person.
    """

    name: str
    vendor: str
    formats: tuple[str, ...] = ()
    downloads: int | None = None
    likes: int | None = None
    updated_at: datetime | None = None
    gated: bool = False
    summary: str | None = None


class ModelVendor(ABC):
    """A place where models come from.  Take `HttpModelVendor` where files are fetched by HTTP.

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
    names_anything: ClassVar[bool] = False
    """Its references name whatever anybody has published: only callers with the colony's token may make it ask its
    source and fetch.  What is on a machine of the colony already, anybody who may ask for an answer may use."""

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

    def held(self, variant: ModelVariant, file: ModelFile) -> Path | None:
        """A whole copy of a file that lies on this machine outside the catalogue, in another program's cache.

        The catalogue verifies it and links to it instead of fetching; it is never changed or deleted.  Quick and
        without network; None, the default, where there is none.
        """
        return None

    def search(self, text: str, limit: int) -> Sequence[ModelHit]:
        """Models that a person may mean, best first; none, the default, for a vendor that cannot be searched.

        Args:
            text: what the person typed.
            limit: how many at most.

        Raises:
            UnreachableError: the source does not answer.
        """
        return ()
