"""An index from keys to ids that is told every change."""

from __future__ import annotations

from collections.abc import Iterable


class Index:
    """Ids by key; an id may stand under several keys.  Order within a key is that of entry."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}

    def put(self, item_id: str, keys: Iterable[str]) -> None:
        """Set the keys of an id; costs nothing when they have not changed."""
        wanted = tuple(keys)
        present = self._keys.get(item_id)
        if present == wanted:
            return
        self.discard(item_id)
        if wanted:
            self._keys[item_id] = wanted
            for key in wanted:
                self._ids.setdefault(key, {})[item_id] = None

    def discard(self, item_id: str) -> None:
        """Take an id out; harmless when it is not there."""
        for key in self._keys.pop(item_id, ()):
            ids = self._ids[key]
            ids.pop(item_id, None)
            if not ids:
                del self._ids[key]

    def get(self, key: str) -> Iterable[str]:
        """Ids under a key."""
        return self._ids.get(key, {}).keys()

    def count(self, key: str) -> int:
        """How many ids stand under a key."""
        return len(self._ids.get(key, ()))

    def keys(self) -> Iterable[str]:
        """Keys with at least one id."""
        return self._ids.keys()
