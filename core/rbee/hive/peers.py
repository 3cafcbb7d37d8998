"""Other hives as sources of files: a model crosses the line to its vendor once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from rbee.catalog.fetching import Fetch
from rbee.catalog.layout import folder_name
from rbee.catalog.matching import called, several
from rbee.catalog.provisioner import Peer
from rbee.clients import Credentials, HiveClient, Transport
from rbee.clients.transport import segment
from rbee.clients.who import the_hive
from rbee.contract.checksums import content_key
from rbee.contract.errors import ConflictError, ModelNotFoundError, NotFoundError, UnreachableError
from rbee.contract.http_vendor import FileSource, HttpModelVendor
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.wire import HeldModels, ModelStanding
from rbee.hive.offers import checked, same_content
from rbee.hive.patience import Patience
from rbee.hive.peer_lines import HivesOf, PeerLines, Silent

_STEP_S = 0.5
_MOST_STEPS = 4
"""Between two looks at hives that are fetching: one step at first, then one more each time."""

_CHECKSUMS_S = 3600.0
_TOLD = 20
"""Models of a hive that are named to one who has asked for another."""


class PeerVendor(HttpModelVendor):
    """The files of one model on another hive.  It resolves nothing: what is wanted is known already.

    Args:
        hive_id: of the hive.
        hive_url: address of the hive.
        credentials: shown to the others.
    """

    name = "peer"

    def __init__(self, hive_id: str, hive_url: str, credentials: Credentials) -> None:
        self._server_name = the_hive(hive_id).server_name
        self._url = hive_url.rstrip("/")
        self._credentials = credentials

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
        headers = tuple(self._credentials.headers(self._url).items())
        url = f"{self._url}/v1/models/{key}/files/{quote(file.name)}{query}"
        trust = self._credentials.context(self._url)
        return FileSource(url=url, headers=headers, direct=True, trust=trust, server_name=self._server_name)


class Peers:
    """Finds hives that have the files of a model.

    Args:
        hive_id: our own id.
        credentials: shown to the others.
        hives: gives the others.
    """

    def __init__(self, hive_id: str, credentials: Credentials, hives: HivesOf) -> None:
        self._hive_id = hive_id
        self._credentials = credentials
        self._hives = hives
        self._silent = Silent()

    async def having(self, variant: ModelVariant, fetch: Fetch) -> Sequence[Peer]:
        """Hives that have the very files; one that is fetching them is waited for as long as it gets on.

        Of two that begin at the same time, the one whose id comes first fetches.  Neither may have seen the other yet:
        who finds nobody says so by `fetch.at_source`, and asks once more.

        Args:
            variant: whose files; one of which a file has no checksum is taken from its vendor alone.
            fetch: of our own; told what is waited for, and given up when it is cancelled.
        """
        if any(content_key(file) is None for file in variant.files):
            return ()
        loop = asyncio.get_running_loop()
        patience, steps, told = Patience(variant.size_bytes), 1, False
        async with PeerLines(self._hive_id, self._credentials, self._hives, self._silent) as lines:
            while True:
                found = [
                    one
                    for one in await lines.standings(variant.model_id)
                    if same_content(one.standing.variant, variant)
                ]
                if have := [one for one in found if one.standing.state == "available"]:
                    return [self._peer(one.standing.hive_id, one.url) for one in have]
                ahead = [
                    one.standing.hive_id
                    for one in found
                    if self._goes_before(one.standing, fetch)
                    and patience.has(one.standing.hive_id, one.standing.done_bytes, loop.time())
                ]
                if not ahead or fetch.cancel.cancelled:
                    return ()
                fetch.at_source = False
                if not told:
                    told = True
                    fetch.say(f"Hive {ahead[0]} is fetching {variant.name}; waiting to take it from there")
                await _pause(steps, fetch)
                steps = min(steps + 1, _MOST_STEPS)

    async def named(self, hive_id: str, ref: str) -> tuple[ModelVariant, Peer]:
        """A model as another hive has it, and the hive as its source.  No vendor is asked what the name means.

        Args:
            hive_id: of the hive.
            ref: canonical name of a model that is there, its short name, or a less exact one.

        Raises:
            NotFoundError: there is no such hive, or no such model on it.
            ConflictError: the name may mean several of its models.
            ModelFileError: what it says of the model cannot be.
            RbeeError: it does not answer.
        """
        hives = await self._hives()
        if hive_id not in hives:
            names = ", ".join(sorted(hives)) or "none"
            raise NotFoundError(f"Hive {hive_id!r} is not online. Online besides this one: {names}.")
        transport = Transport(hives[hive_id], self._credentials, the_hive(hive_id))
        try:
            client = HiveClient(transport)
            held = await client.catalog()
            if held.hive_id != hive_id:
                raise UnreachableError(f"Hive {held.hive_id!r} answers in the place of hive {hive_id!r}.")
            model_id = _meant(ref, held)
            standing = await client.standing(folder_name(model_id), checksums=True, timeout_s=_CHECKSUMS_S)
        finally:
            await transport.close()
        if standing.state != "available":
            raise NotFoundError(f"Hive {hive_id!r} no longer has the model {model_id!r} whole; try again later.")
        return checked(standing, hive_id, model_id), self._peer(hive_id, hives[hive_id])

    def _goes_before(self, other: ModelStanding, fetch: Fetch) -> bool:
        """Whether another hive that fetches is to go on, and this one to wait."""
        if other.hive_id < self._hive_id:
            return True
        # One whose id comes later gives way as long as nothing has come, if both have said that they begin.
        return other.at_source and (not fetch.at_source or bool(other.done_bytes))

    def _peer(self, hive_id: str, url: str) -> Peer:
        return Peer(f"hive {hive_id}", PeerVendor(hive_id, url, self._credentials))


async def _pause(steps: int, fetch: Fetch) -> None:
    """Wait, shorter when the fetch is cancelled: whoever has left waits for its end."""
    for _ in range(steps):
        if fetch.cancel.cancelled:
            return
        await asyncio.sleep(_STEP_S)


def _meant(ref: str, held: HeldModels) -> str:
    """Canonical name of the one model of a hive that a name means.

    Raises:
        NotFoundError: there is none.
        ConflictError: there are several.
    """
    variants = [model.variant for model in held.models]
    found = called(ref, variants)
    if not found:
        has = _listed(variants) if variants else "It has none."
        raise NotFoundError(f"Hive {held.hive_id!r} has no model {ref!r} that is whole. {has}")
    if len(found) > 1:
        raise ConflictError(several(ref, [one.model_id for one in found], f"hive {held.hive_id!r}"))
    return found[0].model_id


def _listed(variants: Sequence[ModelVariant]) -> str:
    names = [variant.name for variant in variants if variant.name.isprintable()]
    more = len(variants) - _TOLD
    return f"It has: {', '.join(name[:200] for name in names[:_TOLD])}{f' and {more} more' if more > 0 else ''}."
