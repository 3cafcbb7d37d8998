"""The operations `model_plan` and `model_search`: what could be had, and what each machine would make of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import chain, islice, zip_longest
from typing import Any

from rbee.builtin.one_thread import OneThread
from rbee.catalog import Resolver
from rbee.contract.errors import RbeeError
from rbee.contract.vendor import ModelHit, ModelVendor
from rbee.contract.wire import ModelPlan, ModelSearch, ModelsFound, Planned
from rbee.jobs import Narrator, parse
from rbee.queen.hives import Hives
from rbee.queen.plans import Plans

log = logging.getLogger(__name__)

_SEARCH_S = 15.0


class Models:
    """Looks at models, wherever they are; changes nothing.

    Args:
        plans: makes plans.
        resolver: the vendors.
        hives: knows which are online.
        search_s: how long a vendor is waited for.
    """

    def __init__(self, plans: Plans, resolver: Resolver, hives: Hives, search_s: float = _SEARCH_S) -> None:
        self._plans = plans
        self._resolver = resolver
        self._hives = hives
        self._search_s = search_s

    async def model_plan(self, body: dict[str, Any], say: Narrator) -> Planned:
        """What each hive would take of a model, and whether it fits."""
        wanted = parse(body, ModelPlan)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        return await self._plans.plan(
            wanted, hive_id, lambda sentence: say.say("queen", "model_plan", sentence, wanted.model)
        )

    async def model_search(self, body: dict[str, Any], say: Narrator) -> ModelsFound:
        """Models that a person may mean, from all vendors at the same time."""
        wanted = parse(body, ModelSearch)
        vendors = self._resolver.vendors
        answers = await asyncio.gather(*(self._search(vendor, wanted) for vendor in vendors))
        found: list[Sequence[ModelHit]] = []
        failed: dict[str, str] = {}
        for vendor, answer in zip(vendors, answers, strict=True):
            if isinstance(answer, str):
                failed[vendor.name] = answer
                say.say("queen", "model_search", f"{vendor.name} could not be asked: {answer}", vendor.name)
            else:
                found.append(answer)
        return ModelsFound(models=_shares(found, wanted.limit), failed=failed)

    async def _search(self, vendor: ModelVendor, wanted: ModelSearch) -> Sequence[ModelHit] | str:
        """What a vendor finds, or why it could not be asked."""
        thread = OneThread(f"search at {vendor.name}")
        try:
            async with asyncio.timeout(self._search_s):
                return tuple(await thread.call(vendor.search, wanted.query, wanted.limit))[: wanted.limit]
        except TimeoutError:
            return f"it did not answer within {self._search_s:g} s"
        except RbeeError as error:
            return error.message
        except Exception as error:
            log.exception("model vendor %r could not search", vendor.name)
            return f"it fails to search ({error!r}); update or remove its plugin"
        finally:
            thread.close()


def _shares(found: Sequence[Sequence[ModelHit]], limit: int) -> tuple[ModelHit, ...]:
    """At most so many, vendor by vendor: where there are more, each vendor's best."""
    ranked = chain.from_iterable(zip_longest(*found))
    kept = set(map(id, islice((hit for hit in ranked if hit is not None), limit)))
    return tuple(hit for hits in found for hit in hits if id(hit) in kept)
