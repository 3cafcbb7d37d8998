"""The generic foundation: things that are there as long as they say so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class HeartbeatRegistry(Generic[T]):
    """Items by id with the time of their last sign of life.

    Online items are kept in the order of that time, oldest first.  What has become silent stands at the front and is
    moved aside before a question is answered: each sign of life is paid for once, and nothing is ever searched.

    Args:
        clock: seconds that never go back (`time.monotonic` in programs, anything in tests).
        online_s: age up to which an item counts as online.
        available: whether an online item can take work; asked when the item is updated.
        on_silent: told the id of an item when it is first found not to be online any more.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        online_s: float,
        available: Callable[[T], bool] = lambda _: True,
        on_silent: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._online_s = online_s
        self._is_available = available
        self._on_silent = on_silent
        self._items: dict[str, T] = {}
        self._online: OrderedDict[str, float] = OrderedDict()
        self._silent: OrderedDict[str, float] = OrderedDict()
        self._available: dict[str, None] = {}

    def update(self, item_id: str, item: T) -> None:
        """Enter or replace an item; it has just been seen."""
        self._items[item_id] = item
        self._online[item_id] = self._clock()
        self._online.move_to_end(item_id)
        if self._silent:
            self._silent.pop(item_id, None)
        if self._is_available(item):
            self._available[item_id] = None
        else:
            self._available.pop(item_id, None)

    def get(self, item_id: str) -> T | None:
        """The item, online or not; None when it was never seen or is forgotten."""
        return self._items.get(item_id)

    def remove(self, item_id: str) -> T | None:
        """Forget an item; returns it, or None when it was not there."""
        self._online.pop(item_id, None)
        self._silent.pop(item_id, None)
        self._available.pop(item_id, None)
        return self._items.pop(item_id, None)

    def seen_at(self, item_id: str) -> float | None:
        """When the item was last seen, by the clock; None when it is not there."""
        seen = self._online.get(item_id)
        return self._silent.get(item_id) if seen is None else seen

    def age(self, item_id: str) -> float | None:
        """Seconds since the item's last sign of life; None when it is not there."""
        seen = self.seen_at(item_id)
        return None if seen is None else self._clock() - seen

    def is_online(self, item_id: str) -> bool:
        """True while the item's age is below the limit."""
        seen = self._online.get(item_id)
        return seen is not None and self._clock() - seen < self._online_s

    def list_all(self) -> list[T]:
        """Every item that is not forgotten, in the order of entry."""
        return list(self._items.values())

    def list_online(self) -> list[T]:
        """Items that are online, the longest silent first."""
        self.settle()
        return [self._items[item_id] for item_id in self._online]

    def list_available(self) -> list[T]:
        """Online items that can take work."""
        self.settle()
        return [self._items[item_id] for item_id in self._available]

    def count_total(self) -> int:
        """How many items are not forgotten."""
        return len(self._items)

    def count_online(self) -> int:
        """How many items are online."""
        self.settle()
        return len(self._online)

    def count_available(self) -> int:
        """How many online items can take work."""
        self.settle()
        return len(self._available)

    def cleanup_stale(self, older_than_s: float) -> list[str]:
        """Forget items whose age is at least `older_than_s`; returns their ids, the oldest first."""
        self.settle()
        now = self._clock()
        gone: list[str] = []
        for order in (self._silent, self._online):
            while order:
                item_id = next(iter(order))
                if now - order[item_id] < older_than_s:
                    return gone
                self.remove(item_id)
                gone.append(item_id)
        return gone

    def settle(self) -> None:
        """Move aside what is not online any more; every question does this first."""
        if not self._online:
            return
        now = self._clock()
        while self._online:
            item_id = next(iter(self._online))
            seen = self._online[item_id]
            if now - seen < self._online_s:
                return
            del self._online[item_id]
            self._silent[item_id] = seen
            self._available.pop(item_id, None)
            self._on_silent(item_id)
