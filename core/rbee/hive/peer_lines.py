"""Connections to the colony's other hives, for as long as one of them is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

import msgspec

from rbee.catalog.layout import folder_name
from rbee.clients import Credentials, HiveClient, Transport
from rbee.clients.who import the_hive
from rbee.contract.errors import NotFoundError, RbeeError
from rbee.contract.wire import ModelStanding
from rbee.hive.offers import answers

log = logging.getLogger(__name__)

HivesOf = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the addresses of the colony's other hives by their ids."""

_ASK_S = 3.0
_LIST_S = 10.0
_SILENT_S = 10.0
_MOST_SILENT = 1000


class Silent:
    """Addresses that did not answer, left alone for a while: each costs seconds, and the others' answers get old."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __contains__(self, url: str) -> bool:
        return self._until.get(url, 0.0) > asyncio.get_running_loop().time()

    def add(self, url: str) -> None:
        """It has just not answered."""
        now = asyncio.get_running_loop().time()
        if len(self._until) >= _MOST_SILENT:
            self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[url] = now + _SILENT_S


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What one hive says of a model.

    Attributes:
        url: of the hive.
        standing: its word.
    """

    url: str
    standing: ModelStanding


class PeerLines:
    """Asks all other hives, each over one connection that stays; a context that closes them.

    Args:
        hive_id: our own id, which is not asked.
        credentials: shown to the others.
        hives: gives the others; asked anew every few seconds.
        silent: those that did not answer lately.
    """

    def __init__(self, hive_id: str, credentials: Credentials, hives: HivesOf, silent: Silent) -> None:
        self._hive_id = hive_id
        self._credentials = credentials
        self._hives = hives
        self._silent = silent
        self._known: Mapping[str, str] = {}
        self._fresh_until = 0.0
        self._transports: dict[str, Transport] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._transports.values():
            await transport.close()

    async def standings(self, model_id: str) -> list[Heard]:
        """What those that answer say of a model, by id; nothing of those that do not know it."""
        now = asyncio.get_running_loop().time()
        if now >= self._fresh_until:
            self._known = {hive: url for hive, url in (await self._hives()).items() if hive != self._hive_id}
            self._fresh_until = now + _LIST_S
        asked = [(hive, url) for hive, url in sorted(self._known.items()) if url not in self._silent]
        answered = await asyncio.gather(*(self._ask(hive, url, model_id) for hive, url in asked))
        return [heard for heard in answered if heard is not None]

    async def _ask(self, hive_id: str, url: str, model_id: str) -> Heard | None:
        transport = self._transports.get(url)
        if transport is None:
            transport = self._transports[url] = Transport(url, self._credentials, the_hive(hive_id), timeout_s=_ASK_S)
        try:
            found = await HiveClient(transport).standing(folder_name(model_id))
        except NotFoundError:
            return None
        except RbeeError as error:
            log.debug("hive %s was asked for %s in vain: %s", hive_id, model_id, error)
            self._silent.add(url)
            return None
        return Heard(url=url, standing=found) if answers(found, hive_id, model_id) else None
