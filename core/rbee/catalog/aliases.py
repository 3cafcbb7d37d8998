"""Short names that people give to models: kept by the queen, valid wherever she is asked for a model."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.catalog.resolver import Resolver, supports
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError
from rbee.contract.model_refs import parse_ref
from rbee.contract.wire import Alias, utc_now
from rbee.storage.later import Later

if TYPE_CHECKING:
    from rbee.catalog.alias_store import AliasStore

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST = 1000


def _nowhere(_name: str) -> None:
    return None


class Aliases:
    """Every short name, in memory as in the file.

    Args:
        path: of the file.
        resolver: the vendors, whose own names none of these may take.
        whose: where a model called so is in the colony already, for a person; None when there is none.  A new alias
            would hide it.
    """

    def __init__(self, path: Path, resolver: Resolver, whose: Callable[[str], str | None] = _nowhere) -> None:
        self._store = Later(path, lambda: _store_at(path))
        self._resolver = resolver
        self._whose = whose
        self._all: dict[str, Alias] = {}
        # Two at once could make an alias of an alias between them.
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Read the file, if there is one; a damaged one is set aside.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        self._all = {alias.name: alias for alias in await self._store.left(lambda store: store.list()) or ()}

    async def close(self) -> None:
        """Close the file."""
        await self._store.close()

    def target(self, name: str) -> str | None:
        """The model that a short name stands for; None when `name` is none."""
        alias = self._all.get(name)
        return None if alias is None else alias.model

    def list(self) -> list[Alias]:
        """All, by name."""
        return sorted(self._all.values(), key=lambda alias: alias.name)

    async def put(self, name: str, model: str) -> tuple[Alias, bool]:
        """Set what a short name stands for.

        Args:
            name: the short one.
            model: any name of a model, but a relative path or another alias.

        Returns:
            The alias, and whether it is new.

        Raises:
            InvalidRequestError: the name or the model's is none, or the model is named by a relative path.
            ConflictError: a vendor knows a model of that name, or there is one in the colony, or an alias would stand
                for another alias.
        """
        _check_name(name)
        self._check_model(model)
        async with self._changing:
            now, present = utc_now(), self._all.get(name)
            owner = await self._owner(name)
            if owner is not None:
                raise ConflictError(f"{name!r} is a model of the vendor {owner!r} already; take another alias.")
            where = self._whose(name)
            if present is None and where is not None:
                raise ConflictError(f"{name!r} is a model {where} already; take another alias.")
            self._check_chain(name, model)
            if present is None and len(self._all) >= _MOST:
                raise ConflictError(f"There are {_MOST} aliases, which is the most; remove one first.")
            alias = Alias(name=name, model=model, created_at=present.created_at if present else now, updated_at=now)
            await (await self._store.made()).put(alias)
            self._all[name] = alias
        return alias, present is None

    async def remove(self, name: str) -> None:
        """Forget a short name; its model stays.

        Raises:
            NotFoundError: there is none of that name.
        """
        async with self._changing:
            if name not in self._all:
                raise NotFoundError(f"There is no alias {name[:64]!r}; `rbee model alias` lists them.")
            await (await self._store.made()).remove(name)
            del self._all[name]

    def _check_model(self, model: str) -> None:
        try:
            ref = parse_ref(model)
        except InvalidRequestError:
            # A vendor may have a grammar of its own behind its scheme.
            if model.isprintable() and any(supports(vendor, model) for vendor in self._resolver.vendors):
                return
            raise
        if ref.kind == "path" and not ref.repository.startswith("/"):
            raise InvalidRequestError(
                f"An alias for the path {model!r} would lead elsewhere in other folders; give the absolute path.",
                param="model",
            )

    def _check_chain(self, name: str, model: str) -> None:
        if name == model:
            raise ConflictError(f"The alias {name!r} would stand for itself.")
        word = _word(model)
        further = None if word in {None, name} else self.target(word)
        if further is not None:
            raise ConflictError(f"{word!r} is an alias itself; let {name!r} stand for {further!r}.")
        users = sorted(alias.name for alias in self._all.values() if alias.name != name and _word(alias.model) == name)
        if users:
            raise ConflictError(f"The alias {users[0]!r} stands for a model {name!r}; take another alias.")

    async def _owner(self, name: str) -> str | None:
        """Name of the vendor that has a model called so."""
        for variant in await self._resolver.known():
            if name in {variant.name, variant.model_id}:
                return variant.vendor
        for vendor in self._resolver.vendors:
            # What takes every word says nothing about this one.
            if not vendor.names_anything and supports(vendor, name):
                return vendor.name
        return None


def _word(model: str) -> str | None:
    """The word that a model's name is, less what stands behind it; None where it is more than a word."""
    try:
        ref = parse_ref(model)
    except InvalidRequestError:
        return None
    return ref.repository if ref.kind == "name" and ref.scheme is None else None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name[:80]!r} is no alias: use letters, digits and . _ -, at most 64 characters, "
            "the first a letter or a digit.",
            param="name",
        )
    try:
        plain = parse_ref(name).kind == "name"
    except InvalidRequestError:
        plain = False
    if not plain:
        raise InvalidRequestError(
            f"{name!r} is no alias: it would be taken for a file, a quantisation or a size.", param="name"
        )


def _store_at(path: Path) -> AliasStore:
    from rbee.catalog.alias_store import AliasStore

    return AliasStore(path)
