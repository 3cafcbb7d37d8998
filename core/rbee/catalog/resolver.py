"""From what a person types to concrete artefacts: asks the vendors."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Sequence

from rbee.contract.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnreachableError,
)
from rbee.contract.model_refs import parse_ref
from rbee.contract.types import ModelVariant
from rbee.contract.vendor import ModelVendor

log = logging.getLogger(__name__)

_MAX_REF = 4096


class Resolver:
    """Names to variants, over every registered vendor, in the order of registration."""

    def __init__(self, vendors: Sequence[ModelVendor]) -> None:
        self._vendors = tuple(vendors)

    @property
    def vendors(self) -> tuple[ModelVendor, ...]:
        """All of them, in the order in which they are asked."""
        return self._vendors

    def vendor(self, name: str) -> ModelVendor:
        """The vendor of that name.

        Raises:
            ModelNotFoundError: it is not installed here.
        """
        for vendor in self._vendors:
            if vendor.name == name:
                return vendor
        raise ModelNotFoundError(f"The model vendor {name!r} is not installed here; `rbee plugins` lists what is.")

    async def resolve(self, ref: str, *, trusted: bool = True) -> Sequence[ModelVariant]:
        """The artefacts behind a name, best first, at least one.

        A vendor that cannot be reached hides no other that knows the name.

        Args:
            ref: what somebody typed.
            trusted: the caller has the colony's token, or the operator has chosen the name: it may name files of this
                machine, and what anybody has published.

        Raises:
            InvalidRequestError: the name is empty, too long or not printable, or of a form that no vendor knows.
            ModelNotFoundError: no vendor knows it; the message shows the nearest known name.
            PermissionDeniedError: only a caller who is trusted may use it.
            RbeeError: as the vendor raises.
        """
        if not ref or len(ref) > _MAX_REF or not ref.isprintable():
            raise InvalidRequestError("'model' must be 1 to 4096 printable characters.", param="model")
        missed: RbeeError | None = None
        unreached: RbeeError | None = None
        refused: RbeeError | None = None
        supported = False
        for vendor in self._vendors:
            if not vendor.supports(ref):
                continue
            supported = True
            if vendor.names_files and not trusted:
                # Said before anything is looked at: a stranger must not learn which files there are.
                raise _no_files(ref)
            if vendor.names_anything and not trusted:
                refused = refused or _no_fetching(ref, await asyncio.to_thread(self._nearest, ref))
                continue
            try:
                variants = await asyncio.to_thread(vendor.resolve, ref)
            except ModelNotFoundError as error:
                missed = missed or error
                continue
            except UnreachableError as error:
                unreached = unreached or error
                continue
            if variants:
                return variants
        if found := unreached or refused or missed:
            raise found
        if not supported:
            # A form that nobody could mean is told as such, with the nearest one.
            parse_ref(ref)
        raise ModelNotFoundError(await asyncio.to_thread(self._unknown, ref))

    def known(self) -> list[ModelVariant]:
        """Models that can be had without further naming, from all vendors."""
        found: list[ModelVariant] = []
        for vendor in self._vendors:
            try:
                found.extend(vendor.known())
            except Exception:
                log.exception("model vendor %r could not list its models", vendor.name)
        return found

    def _unknown(self, ref: str) -> str:
        if (close := self._nearest(ref)) is not None:
            return f"No vendor knows the model {ref!r}. Did you mean {close!r}?"
        names = self._names()
        listed = f"Known here: {', '.join(names)}. " if names else ""
        return f"No vendor knows the model {ref!r}. {listed}A model file is named by its path: ./model.gguf"

    def _nearest(self, ref: str) -> str | None:
        return next(iter(difflib.get_close_matches(ref, self._names(), n=1)), None)

    def _names(self) -> list[str]:
        return sorted({variant.name for variant in self.known()})


def _no_files(ref: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"The model {ref!r} names a file, which only callers with the colony's token may do: send it as "
        "the API key (`rbee config path token` says where it is), or load the model with `rbee run`."
    )


def _no_fetching(ref: str, close: str | None) -> PermissionDeniedError:
    meant = "" if close is None else f" Did you mean {close!r}?"
    return PermissionDeniedError(
        f"The model {ref!r} is on no machine of the colony, and only callers with the colony's token may have one "
        f"fetched: pull it first (`rbee pull {ref}`), or send the token as the API key (`rbee config path token` says "
        f"where it is).{meant}"
    )
