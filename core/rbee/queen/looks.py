"""Looks into models that nobody in the colony has yet, as far as a decision depends on what is in them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import msgspec

from rbee.contract.errors import RbeeError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.views import Views
from rbee.scheduler import Choice, PlaceRequest, choose, completed, estimates, shared

_MOST_LOOKS = 4
"""Remote files that are looked into for one decision."""

_NOTHING = ModelFigures()


class Looks:
    """Reads the beginnings of the files that hives would fetch.

    Args:
        views: of the colony.
        figures: reads them, once for all who ask.
    """

    def __init__(self, views: Views, figures: RemoteFigures) -> None:
        self._views = views
        self._figures = figures

    async def into(
        self,
        request: PlaceRequest,
        say: Callable[[str], None] | None = None,
        *,
        within_s: float | None = None,
        one_at_least: bool = False,
    ) -> PlaceRequest:
        """The request with figures of the variants that hives would fetch and whose need is only roughly known.

        What cannot be read, or not in time, stays as it is.

        Args:
            request: what is to be placed.
            say: told what is read, and what could not be.
            within_s: how long it may take in all; None for as long as the sources may take.
            one_at_least: look into the first variant where no hive would take any.
        """
        looked: set[str] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(looked) < _MOST_LOOKS:
                    unread = self._unread(request, looked, one_at_least=one_at_least)
                    if unread is None:
                        break
                    looked.add(unread.model_id)
                    request = await self._looked_into(request, unread, say)
        return request

    def _unread(self, request: PlaceRequest, looked: set[str], *, one_at_least: bool) -> ModelVariant | None:
        """A variant that some hive would fetch and that was not looked into yet."""
        needs = estimates(request)
        if not any(need.rough for need in needs):
            return None
        choices = [
            choice
            for hive in self._views.hives(request.variants)
            if request.hive_id in {None, hive.hive_id} and isinstance(choice := choose(request, hive, needs), Choice)
        ]
        for choice in choices:
            if choice.estimate.rough and not choice.present and choice.variant.model_id not in looked:
                return choice.variant
        if one_at_least and not choices and not looked and needs[0].rough:
            return request.variants[0]
        return None

    async def _looked_into(
        self, request: PlaceRequest, variant: ModelVariant, say: Callable[[str], None] | None
    ) -> PlaceRequest:
        """The variants with what the beginning of that one's files tells."""
        try:
            figures = await self._figures.of(variant)
        except RbeeError as error:
            if say is not None:
                say(f"What {variant.model_id} needs is a rough estimate: {error.message}")
            return request
        if figures is None:
            return request
        if say is not None:
            say(f"Read the beginning of {variant.model_id} for its figures")
        return msgspec.structs.replace(request, variants=tuple(_completed(request.variants, variant.model_id, figures)))


def _completed(variants: tuple[ModelVariant, ...], model_id: str, figures: ModelFigures) -> Iterator[ModelVariant]:
    common = shared(figures)
    for one in variants:
        known = figures if one.model_id == model_id else common
        yield msgspec.structs.replace(one, figures=completed(one.figures or _NOTHING, known))
