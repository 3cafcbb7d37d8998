"""Certificates of the workers that a hive starts, where they listen beyond loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import shutil
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.contract.errors import RbeeError

if TYPE_CHECKING:
    from rbee.trust.identity import Identity
    from rbee.trust.renewal import Renewed

log = logging.getLogger(__name__)

_LOOK_S = 30.0
_FIRST_LOOK_S = 1.0

Ask = Callable[[str, bytes], Awaitable["Renewed"]]
"""Asks the authority for a worker's certificate, by the worker's id and a request in PEM; raises `RbeeError`."""

VARIABLE = "RBEE_IDENTITY"
"""Of a worker's environment: the folder of its key, its certificate and whom it trusts."""


class WorkerCertificates:
    """One folder a worker, gone with it.

    Args:
        folder: of all of them.
        ask: the authority.
    """

    def __init__(self, folder: Path, ask: Ask) -> None:
        self._folder = folder
        self._ask = ask

    async def make(self, worker_id: str) -> Path:
        """A worker's folder.

        Raises:
            RbeeError: the authority does not answer, or gives no certificate.
            ConfigurationError: it cannot be written.
        """
        folder = self._of(worker_id)
        identity = _identity(folder)
        key, request = identity.ask()
        given = await self._ask(worker_id, request)
        identity.take(key, given.certificate, given.roots)
        identity.revoke(given.revoked)
        return folder

    async def run(self, workers: Callable[[], Iterable[str]]) -> None:
        """Renew the certificates of workers in their files, where they find them, until cancelled.

        Args:
            workers: ids of those that run.
        """
        wait_s = _FIRST_LOOK_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = _LOOK_S
            for worker_id in list(workers()):
                identity = _identity(self._of(worker_id))
                try:
                    if not identity.exists:
                        continue
                    wait_s = min(wait_s, identity.look_s())
                    if identity.wants_renewal(datetime.now(UTC)):
                        await self.make(worker_id)
                        if worker_id not in workers():
                            # It has ended meanwhile, and its folder was made again.
                            self.drop(worker_id)
                except RbeeError as error:
                    log.warning("the certificate of worker %s could not be renewed yet: %s", worker_id, error.message)

    def sweep(self, workers: Iterable[str]) -> None:
        """Remove what workers have left that ended while no hive was there.

        Args:
            workers: ids of those that live.
        """
        kept = {self._of(worker_id) for worker_id in workers}
        with contextlib.suppress(OSError):
            for folder in list(self._folder.iterdir()):
                if folder not in kept:
                    shutil.rmtree(folder, ignore_errors=True)

    def drop(self, worker_id: str) -> None:
        """The worker is gone; harmless when it had none."""
        shutil.rmtree(self._of(worker_id), ignore_errors=True)

    def _of(self, worker_id: str) -> Path:
        # An id may hold what no folder's name may.
        return self._folder / hashlib.sha256(worker_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _identity(folder: Path) -> Identity:
    # Late: what reads certificates takes long to load, and a hive on loopback needs none of it.
    from rbee.trust.identity import Identity

    return Identity(folder)
