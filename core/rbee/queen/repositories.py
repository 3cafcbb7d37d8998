"""Canonical names of models by the repository that stands in them, for names that say less."""

from __future__ import annotations

from collections.abc import Collection

from rbee.catalog.matching import agrees
from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs import ModelRef, parse_ref

_Key = tuple[str, str]


class Repositories:
    """Each name is parsed once, when it is entered."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key | None] = {}
        self._refs: dict[_Key, dict[str, ModelRef]] = {}

    def put(self, model_id: str) -> None:
        """Enter a name; harmless when it is there."""
        if model_id in self._keys:
            return
        ref = _parsed(model_id)
        key = self._keys[model_id] = None if ref is None else (ref.kind, ref.repository)
        if ref is not None and key is not None:
            self._refs.setdefault(key, {})[model_id] = ref

    def discard(self, model_id: str) -> None:
        """Take a name out; harmless when it is not there."""
        key = self._keys.pop(model_id, None)
        if key is None:
            return
        refs = self._refs[key]
        del refs[model_id]
        if not refs:
            del self._refs[key]

    def replace(self, model_ids: Collection[str]) -> None:
        """These and no others."""
        wanted = set(model_ids)
        for model_id in self._keys.keys() - wanted:
            self.discard(model_id)
        for model_id in wanted - self._keys.keys():
            self.put(model_id)

    def meant(self, name: str) -> list[str]:
        """Canonical names that agree with all that a name says: its repository without a quantisation, for one."""
        wanted = _parsed(name)
        if wanted is None:
            return []
        refs = self._refs.get((wanted.kind, wanted.repository), {})
        return [model_id for model_id, ref in refs.items() if agrees(wanted, ref)]


def _parsed(name: str) -> ModelRef | None:
    """What a name says; None where it says all that there is to say, a path for one."""
    try:
        ref = parse_ref(name)
    except InvalidRequestError:
        return None
    return ref if ref.kind in {"hub", "name"} else None
