"""From what a person types to concrete artefacts: asks the vendors."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Sequence

from rbee.contract.errors import InvalidRequestError, ModelNotFoundError, PermissionDeniedError
from rbee.contract.types import ModelVariant
from rbee.contract.vendor import ModelVendor

log = logging.getLogger(__name__)

_MAX_REF = 4096


class Resolver:
    """Names to variants, over every registered vendor, in the order of registration."""

    def __init__(self, vendors: Sequence[ModelVendor]) -> None:
        self._vendors = tuple(vendors)

    def vendor(self, name: str) -> ModelVendor:
        """The vendor of that name.

        Raises:
            ModelNotFoundError: it is not installed here.
        """
        for vendor in self._vendors:
            if vendor.name == name:
                return vendor
        raise ModelNotFoundError(f"The model vendor {name!r} is not installed here; `rbee plugins` lists what is.")

    async def resolve(self, ref: str, *, files: bool = True) -> Sequence[ModelVariant]:
        """The artefacts behind a name, best first, at least one.

        Args:
            ref: what somebody typed.
            files: the caller may name files of this machine.

        Raises:
            InvalidRequestError: the name is empty, too long or not printable.
            ModelNotFoundError: no vendor knows it; the message shows the nearest known name.
            RbeeError: as the vendor raises.
        """
        if not ref or len(ref) > _MAX_REF or not ref.isprintable():
            raise InvalidRequestError("'model' must be 1 to 4096 printable characters.", param="model")
        missed: ModelNotFoundError | None = None
        for vendor in self._vendors:
            if not vendor.supports(ref):
                continue
            if vendor.names_files and not files:
                # Said before anything is looked at: a stranger must not learn which files there are.
                raise PermissionDeniedError(
                    f"The model {ref!r} names a file, which only callers with the colony's token may do: send it as "
                    "the API key (`rbee config path token` says where it is), or load the model with `rbee run`."
                )
            try:
                variants = await asyncio.to_thread(vendor.resolve, ref)
            except ModelNotFoundError as error:
                missed = missed or error
                continue
            if variants:
                return variants
        raise missed or ModelNotFoundError(await asyncio.to_thread(self._unknown, ref))

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
        names = sorted({variant.name for variant in self.known()})
        close = difflib.get_close_matches(ref, names, n=1)
        if close:
            return f"No vendor knows the model {ref!r}. Did you mean {close[0]!r}?"
        listed = f"Known here: {', '.join(names)}. " if names else ""
        return f"No vendor knows the model {ref!r}. {listed}A model file is named by its path: ./model.gguf"
