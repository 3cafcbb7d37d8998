"""Other hives as sources of files: a model crosses the line to its vendor once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

from rbee.catalog.fetching import Fetch
from rbee.catalog.layout import folder_name
from rbee.catalog.provisioner import Peer
from rbee.catalog.verification import content_key
from rbee.clients import HiveClient, Transport
from rbee.clients.transport import segment
from rbee.contract.errors import ModelNotFoundError, NotFoundError, RbeeError
from rbee.contract.http_vendor import FileSource, HttpModelVendor
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.wire import ModelStanding

log = logging.getLogger(__name__)

_ASK_S = 3.0
_LOOK_S = 0.5
_STALLED_S = 60.0
_CHECKSUMS_S = 3600.0

HivesOf = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the addresses of the colony's other hives by their ids."""


class PeerVendor(HttpModelVendor):
    """The files of one model on another hive.  It resolves nothing: what is wanted is known already.

    Args:
        hive_url: address of the hive.
        token: the colony's.
    """

    name = "peer"

    def __init__(self, hive_url: str, token: str | None) -> None:
        self._url = hive_url.rstrip("/")
        self._token = token

    def supports(self, ref: str) -> bool:
        """Never: names lead to vendors."""
        return False

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """Never called.

        Raises:
            ModelNotFoundError: always.
        """
        raise ModelNotFoundError(f"Other hives are not asked for {ref!r} by name.")

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        """Where the hive serves the file."""
        key = segment(folder_name(variant.model_id))
        query = f"?sha256={file.sha256}" if file.sha256 is not None else ""
        headers = (("authorization", f"Bearer {self._token}"),) if self._token else ()
        url = f"{self._url}/v1/models/{key}/files/{quote(file.name)}{query}"
        return FileSource(url=url, headers=headers, direct=True)


class Peers:
    """Finds hives that have the files of a model.

    Args:
        hive_id: our own id.
        token: the colony's.
        hives: gives the others.
    """

    def __init__(self, hive_id: str, token: str | None, hives: HivesOf) -> None:
        self._hive_id = hive_id
        self._token = token
        self._hives = hives

    async def having(self, variant: ModelVariant, fetch: Fetch) -> Sequence[Peer]:
        """Hives that have the very files; one that is fetching them is waited for as long as it gets on.

        Of two that begin at the same time, the one whose id comes first fetches.

        Args:
            variant: whose files; one of which a file has no checksum is taken from its vendor alone.
            fetch: of our own; told what is waited for, and given up when it is cancelled.
        """
        if any(content_key(file) is None for file in variant.files):
            return ()
        loop = asyncio.get_running_loop()
        seen, since, told = -1, loop.time(), False
        while True:
            hives = {hive: url for hive, url in (await self._hives()).items() if hive != self._hive_id}
            found = [one for one in await self._ask_all(hives, variant) if _same(one.variant, variant)]
            if have := sorted(one.hive_id for one in found if one.state == "available"):
                return [self._peer(hive, hives[hive]) for hive in have]
            ahead = [one for one in found if one.at_source or one.hive_id < self._hive_id]
            done = max((one.done_bytes or 0 for one in ahead), default=0)
            if done != seen:
                seen, since = done, loop.time()
            if not ahead or fetch.cancel.cancelled or loop.time() - since > _STALLED_S:
                return ()
            if not told:
                told = True
                fetch.say(f"Hive {ahead[0].hive_id} is fetching {variant.name}; waiting to take it from there")
            await asyncio.sleep(_LOOK_S)

    async def named(self, hive_id: str, model_id: str) -> tuple[ModelVariant, Peer]:
        """A model as another hive has it, and the hive as its source.

        Args:
            hive_id: of the hive.
            model_id: canonical name.

        Raises:
            NotFoundError: there is no such hive, or the model is not there.
            RbeeError: it does not answer.
        """
        hives = await self._hives()
        if hive_id not in hives:
            names = ", ".join(sorted(hives)) or "none"
            raise NotFoundError(f"Hive {hive_id!r} is not online. Online besides this one: {names}.")
        transport = Transport(hives[hive_id], self._token, f"Hive {hive_id!r}")
        try:
            client = HiveClient(transport)
            key = folder_name(model_id)
            standing = await client.standing(key, checksums=True, timeout_s=_CHECKSUMS_S)
        finally:
            await transport.close()
        if standing.state != "available":
            raise NotFoundError(f"Model {model_id!r} is still being fetched on hive {hive_id!r}; try again later.")
        return standing.variant, self._peer(hive_id, hives[hive_id])

    def _peer(self, hive_id: str, url: str) -> Peer:
        return Peer(f"hive {hive_id}", PeerVendor(url, self._token))

    async def _ask_all(self, hives: Mapping[str, str], variant: ModelVariant) -> list[ModelStanding]:
        key = folder_name(variant.model_id)
        answers = await asyncio.gather(*(self._ask(hive, url, key) for hive, url in hives.items()))
        return [answer for answer in answers if answer is not None]

    async def _ask(self, hive_id: str, url: str, key: str) -> ModelStanding | None:
        transport = Transport(url, self._token, f"Hive {hive_id!r}", timeout_s=_ASK_S)
        try:
            found = await HiveClient(transport).standing(key)
        except RbeeError as error:
            if not isinstance(error, NotFoundError):
                log.debug("hive %s was asked for %s in vain: %s", hive_id, key, error)
            return None
        finally:
            await transport.close()
        # By another name another hive may answer there, or this one itself.
        return found if found.hive_id == hive_id else None


def _same(theirs: ModelVariant, ours: ModelVariant) -> bool:
    """Whether their files are ours, by content."""
    there = {file.name: content_key(file) for file in theirs.files}
    return all(there.get(file.name) == content_key(file) for file in ours.files)
