"""What was revoked, told to a registry in a home of its own: nobody else tells it before it renews."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from rbee.clients import RegistryClient
from rbee.contract.errors import RbeeError, UnreachableError

log = logging.getLogger(__name__)


class RevocationTeller:
    """Tells the registry all that holds no more, at once when that changes, and again when it has been started anew.

    Args:
        client: the registry.
        revoked: says it: numbers in hexadecimal digits.
        look_s: most seconds between two looks, and between two tries.
    """

    def __init__(self, client: RegistryClient, revoked: Callable[[], tuple[str, ...]], look_s: float) -> None:
        self._client = client
        self._revoked = revoked
        self._look_s = look_s
        self._told: tuple[str, ...] | None = None
        self._refused = False
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def begin_anew(self) -> None:
        """The registry may be another one than before, or have lost its files."""
        self._told = None
        self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._wake.clear()
            found = self._revoked()
            if found != self._told:
                await self._tell(found)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()

    async def _tell(self, found: tuple[str, ...]) -> None:
        # Who asks for all to be told anew meanwhile is not overruled by the answer to this.
        self._told = found
        try:
            await self._client.revoked(found)
        except RbeeError as error:
            self._told = None
            # Its lease's own task tells of a registry that is away.
            if not isinstance(error, UnreachableError) and not self._refused:
                log.warning("the registry does not hear what was revoked; it is told again: %s", error)
                self._refused = True
        else:
            self._refused = False
