"""Looking for models at all vendors of a program at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import chain, islice, zip_longest

from rbee.builtin.one_thread import OneThread
from rbee.catalog.resolver import Resolver
from rbee.contract.errors import RbeeError
from rbee.contract.vendor import ModelHit, ModelVendor
from rbee.contract.wire import ModelSearch, ModelsFound

log = logging.getLogger(__name__)

_SEARCH_S = 15.0


class Searches:
    """Asks vendors; remembers nothing.

    Args:
        resolver: the vendors.
        search_s: how long one is waited for.
    """

    def __init__(self, resolver: Resolver, search_s: float = _SEARCH_S) -> None:
        self._resolver = resolver
        self._search_s = search_s

    async def search(self, wanted: ModelSearch, say: Callable[[str, str], None]) -> ModelsFound:
        """Models that a person may mean, from all vendors.

        Args:
            wanted: what was typed.
            say: told a sentence on a vendor that could not be asked, and its name.
        """
        vendors = self._resolver.vendors
        answers = await asyncio.gather(*(self._ask(vendor, wanted) for vendor in vendors))
        found: list[Sequence[ModelHit]] = []
        failed: dict[str, str] = {}
        for vendor, answer in zip(vendors, answers, strict=True):
            if isinstance(answer, str):
                failed[vendor.name] = answer
                say(f"{vendor.name} could not be asked: {answer}", vendor.name)
            else:
                found.append(answer)
        return ModelsFound(models=_shares(found, wanted.limit), failed=failed)

    async def _ask(self, vendor: ModelVendor, wanted: ModelSearch) -> Sequence[ModelHit] | str:
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
