"""From what a person types to concrete artefacts: asks the vendors."""

from __future__ import annotations

import asyncio
import difflib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from rbee.catalog.answers import Answers
from rbee.catalog.vendor_calls import VendorCalls
from rbee.contract.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)
from rbee.contract.model_refs import parse_ref
from rbee.contract.types import ModelVariant
from rbee.contract.vendor import ModelVendor

log = logging.getLogger(__name__)

_MAX_REF = 4096
_LISTING_S = 5.0
_LIST_FRESH_S = 10.0
_LONGEST_GUESSED = 200
_MOST_COMPARED = 1000


class Resolver:
    """Names to variants, over every registered vendor.

    Vendors are asked in the order of registration, but those whose references name whatever anybody has published come
    last: what another vendor means by a word is not asked of a hub first.

    Args:
        vendors: all that are installed.
        calls: asks them.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        vendors: Sequence[ModelVendor],
        calls: VendorCalls | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vendors = tuple(sorted(vendors, key=lambda vendor: vendor.names_anything))
        self._calls = calls or VendorCalls()
        self._listing: Answers[None, list[ModelVariant]] = Answers(
            self._listed, clock, fresh_s=_LIST_FRESH_S, failed_s=0.0
        )

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

        A vendor that fails, for whatever reason, hides no other that knows the name.

        Args:
            ref: what somebody typed.
            trusted: the caller has the colony's token, or the operator has chosen the name: it may name files of this
                machine, and what anybody has published.

        Raises:
            InvalidRequestError: the name is empty, too long or not printable, or of a form that no vendor knows.
            ModelNotFoundError: no vendor knows it; the message shows the nearest known name.
            PermissionDeniedError: it names a file, and only a caller who is trusted may do that.
            UnreachableError: a vendor does not answer in time.
            PluginError: a vendor's code fails.
            RbeeError: as the vendor raises.  Of several errors the first that says more than that there is no such
                model.
        """
        if not ref or len(ref) > _MAX_REF or not ref.isprintable():
            raise InvalidRequestError("'model' must be 1 to 4096 printable characters.", param="model")
        missed: RbeeError | None = None
        telling: RbeeError | None = None
        supported = False
        for vendor in self._vendors:
            if not supports(vendor, ref):
                continue
            supported = True
            if vendor.names_files and not trusted:
                # Said before anything is looked at: a stranger must not learn which files there are.
                raise _no_files(ref)
            if vendor.names_anything and not trusted:
                telling = telling or _no_fetching(ref, await self._nearest(ref))
                continue
            try:
                variants = await self._calls.call(vendor.name, partial(_resolved, vendor, ref))
            except ModelNotFoundError as error:
                missed = missed or error
            except RbeeError as error:
                telling = telling or error
            else:
                if variants:
                    return variants
        if found := telling or missed:
            raise await self._with_nearest(found, ref)
        if not supported:
            # A form that nobody could mean is told as such, with the nearest one.
            parse_ref(ref)
        raise ModelNotFoundError(await self._unknown(ref))

    async def _with_nearest(self, error: RbeeError, ref: str) -> RbeeError:
        """An error of a vendor who might have anything, with the name that was perhaps meant instead."""
        if not isinstance(error, ModelNotFoundError | UnavailableError | UnreachableError):
            return error
        nearest = await self._nearest(ref)
        if nearest is None or nearest == ref or repr(nearest) in error.message:
            return error
        return type(error)(f"{error.message} Did you mean {nearest!r}, which is known here?", details=error.details)

    async def known(self) -> list[ModelVariant]:
        """Models that can be had without further naming, from all vendors; asked anew every few seconds."""
        return await self._listing.get(None)

    async def _listed(self, _key: None) -> list[ModelVariant]:
        lists = await asyncio.gather(*map(self._list, self._vendors))
        return [variant for one in lists for variant in one]

    async def _list(self, vendor: ModelVendor) -> Sequence[ModelVariant]:
        try:
            return await self._calls.call(vendor.name, lambda: tuple(vendor.known()), within_s=_LISTING_S)
        except RbeeError as error:
            log.warning("model vendor %r could not list its models: %s", vendor.name, error)
            return ()

    async def _unknown(self, ref: str) -> str:
        if (close := await self._nearest(ref)) is not None:
            return f"No vendor knows the model {ref!r}. Did you mean {close!r}?"
        names = await self._names()
        listed = f"Known here: {', '.join(names)}. " if names else ""
        return f"No vendor knows the model {ref!r}. {listed}A model file is named by its path: ./model.gguf"

    async def _nearest(self, ref: str) -> str | None:
        if len(ref) > _LONGEST_GUESSED:
            return None
        names = (await self._names())[:_MOST_COMPARED]
        return next(iter(await asyncio.to_thread(difflib.get_close_matches, ref, names, n=1)), None)

    async def _names(self) -> list[str]:
        return sorted({variant.name for variant in await self.known()})


def _resolved(vendor: ModelVendor, ref: str) -> Sequence[ModelVariant]:
    # Whatever a vendor does when it is gone through is done in its thread.
    return tuple(vendor.resolve(ref))


def supports(vendor: ModelVendor, ref: str) -> bool:
    """Whether a name is in a vendor's grammar; not where its code cannot say."""
    try:
        return vendor.supports(ref)
    except Exception:
        log.exception("model vendor %r could not say whether a name is in its grammar", vendor.name)
        return False


def _no_files(ref: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"The model {ref!r} names a file, which only callers with the colony's token may do: send it as "
        "the API key (`rbee config path token` says where it is), or load the model with `rbee run`."
    )


def _no_fetching(ref: str, close: str | None) -> ModelNotFoundError:
    meant = "" if close is None else f" Did you mean {close!r}?"
    # Not found, as clients of such APIs know it: to them there is no such model here.
    return ModelNotFoundError(
        f"The model {ref!r} is on no machine of the colony, and only callers with the colony's token may have one "
        f"fetched: pull it first (`rbee pull {ref}`), or send the token as the API key (`rbee config path token` says "
        f"where it is).{meant}"
    )
