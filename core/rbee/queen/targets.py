"""Addresses of workers as the relay takes them."""

from __future__ import annotations

import urllib.parse

from rbee.clients import Credentials
from rbee.gateway import Target

_MOST = 10_000


class Targets:
    """Made once an address.

    Args:
        credentials: shown to workers.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._headers = tuple((name.encode(), value.encode()) for name, value in credentials.headers().items())
        self._made: dict[str, Target] = {}

    def at(self, url: str) -> Target:
        """The worker at an address."""
        target = self._made.get(url)
        if target is None:
            parts = urllib.parse.urlsplit(url)
            target = Target(host=parts.hostname or "", port=parts.port or 80, headers=self._headers)
            if len(self._made) > _MOST:
                self._made.clear()
            self._made[url] = target
        return target
