"""Addresses of workers as the relay takes them."""

from __future__ import annotations

import urllib.parse

from rbee.clients import Credentials
from rbee.clients.who import the_worker
from rbee.gateway import Target

_MOST = 10_000


class Targets:
    """Made once an address and worker.

    Args:
        credentials: shown to workers.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._made: dict[tuple[str, str], Target] = {}

    def at(self, url: str, worker_id: str) -> Target:
        """The worker at an address."""
        target = self._made.get((url, worker_id))
        if target is None:
            parts = urllib.parse.urlsplit(url)
            context = self._credentials.context(url)
            tls = parts.scheme == "https"
            target = Target(
                host=parts.hostname or "",
                port=parts.port or (443 if tls else 80),
                headers=self._credentials.raw_headers(url),
                tls=tls,
                context=context,
                server_name=None if context is None else the_worker(worker_id).server_name,
            )
            if len(self._made) > _MOST:
                self._made.clear()
            self._made[url, worker_id] = target
        return target
