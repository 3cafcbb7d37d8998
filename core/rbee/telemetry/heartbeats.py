"""The generic foundation: things that are there as long as they say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class HeartbeatRegistry(Generic[T]):
    """Items by id with the time of their last sign of life.

    Args:
        clock: seconds that never go back (`time.monotonic` in programs, anything in tests).
        online_s: age up to which an item counts as online.
        available: whether an online item can take work.
    """

    def __init__(
        self, clock: Callable[[], float], online_s: float, available: Callable[[T], bool] = lambda _: True
    ) -> None:
        self._clock = clock
        self._online_s = online_s
        self._available = available
        self._items: dict[str, T] = {}
        self._seen: dict[str, float] = {}

    def update(self, item_id: str, item: T) -> None:
        """Enter or replace an item; it has just been seen."""
        self._items[item_id] = item
        self._seen[item_id] = self._clock()

    def get(self, item_id: str) -> T | None:
        """The item, online or not; None when it was never seen or is forgotten."""
        return self._items.get(item_id)

    def remove(self, item_id: str) -> T | None:
        """Forget an item; returns it, or None when it was not there."""
        self._seen.pop(item_id, None)
        return self._items.pop(item_id, None)

    def age(self, item_id: str) -> float | None:
        """Seconds since the item's last sign of life; None when it is not there."""
        seen = self._seen.get(item_id)
        return None if seen is None else self._clock() - seen

    def is_online(self, item_id: str) -> bool:
        """True while the item's age is below the limit."""
        seen = self._seen.get(item_id)
        return seen is not None and self._clock() - seen < self._online_s

    def list_all(self) -> list[T]:
        """Every item that is not forgotten."""
        return list(self._items.values())

    def list_online(self) -> list[T]:
        """Items that are online."""
        return [self._items[item_id] for item_id in self._online()]

    def list_available(self) -> list[T]:
        """Online items that can take work."""
        return [item for item in self.list_online() if self._available(item)]

    def count_total(self) -> int:
        """How many items are not forgotten."""
        return len(self._items)

    def count_online(self) -> int:
        """How many items are online."""
        return sum(1 for _ in self._online())

    def count_available(self) -> int:
        """How many online items can take work."""
        return len(self.list_available())

    def cleanup_stale(self, older_than_s: float) -> list[str]:
        """Forget items whose age is at least `older_than_s`; returns their ids."""
        now = self._clock()
        gone = [item_id for item_id, seen in self._seen.items() if now - seen >= older_than_s]
        for item_id in gone:
            self.remove(item_id)
        return gone

    def _online(self) -> Iterable[str]:
        now = self._clock()
        return (item_id for item_id, seen in self._seen.items() if now - seen < self._online_s)
