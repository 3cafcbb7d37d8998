"""Addresses of workers as the relay takes them."""

from __future__ import annotations

import urllib.parse

from rbee.gateway import Target

_MOST = 10_000


class Targets:
    """Made once an address.

    Args:
        token: the colony's, sent to workers; None for none.
    """

    def __init__(self, token: str | None) -> None:
        self._headers = ((b"authorization", f"Bearer {token}".encode()),) if token else ()
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
