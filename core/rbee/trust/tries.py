"""How often somebody may be wrong."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from rbee.contract.errors import RateLimitedError

_MOST_CALLERS = 1000
_PREFIX = 64
"""Bits of an IPv6 address that one network has: its machines choose the others as they like."""


class Tries:
    """Wrong tries by where they come from: who guesses makes nobody else wait.

    Args:
        most: wrong ones in that time.
        within: the time.
        now: the time of day, with a time zone.
    """

    def __init__(self, most: int, within: timedelta, now: Callable[[], datetime]) -> None:
        self._most = most
        self._within = within
        self._now = now
        self._wrong: OrderedDict[str, list[datetime]] = OrderedDict()

    def check(self, caller: str) -> None:
        """Whether a caller may try.

        Args:
            caller: address.

        Raises:
            RateLimitedError: it was wrong too often.
        """
        since = self._now() - self._within
        recent = [at for at in self._wrong.get(_network(caller), ()) if at > since]
        if len(recent) >= self._most:
            raise RateLimitedError("Too many invitations or certificates that do not hold; try again in a minute.")

    def failed(self, caller: str) -> None:
        """It was wrong."""
        network = _network(caller)
        # As many as count.
        self._wrong[network] = [*self._wrong.pop(network, ()), self._now()][-self._most :]
        while len(self._wrong) > _MOST_CALLERS:
            self._wrong.popitem(last=False)


def _network(caller: str) -> str:
    try:
        address = ipaddress.ip_address(caller.partition("%")[0])
    except ValueError:
        return caller[:64]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _PREFIX), strict=False))
