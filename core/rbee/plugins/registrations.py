"""The classes that plugins have registered."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rbee.contract.engine import Engine
from rbee.contract.errors import ConfigurationError, DuplicateNameError, PluginError
from rbee.contract.policy import Policy
from rbee.contract.presence import PresenceStore
from rbee.contract.probe import Probe
from rbee.contract.register import Register
from rbee.contract.vendor import ModelVendor
from rbee.contract.worker_vendor import WorkerVendor

if TYPE_CHECKING:
    import click

T = TypeVar("T")


class Shelf(Generic[T]):
    """The registered things of one kind by name, each with its owner."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, tuple[T, str]] = {}

    def add(self, name: str, thing: T, owner: str, *, replace: bool) -> None:
        """Put a thing on the shelf.

        Raises:
            DuplicateNameError: the name is taken and `replace` is false.
        """
        present = self._things.get(name)
        if present is not None and not replace:
            raise DuplicateNameError(
                f"Plugins {present[1]!r} and {owner!r} both register the {self.kind} {name!r}. "
                "Remove one of them, or register with replace=True."
            )
        self._things[name] = (thing, owner)

    def get(self, name: str) -> T:
        """The thing of that name.

        Raises:
            ConfigurationError: there is none; the message lists what there is.
        """
        if name not in self._things:
            close = difflib.get_close_matches(name, self._things, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(self.names()) or 'none'}."
            raise ConfigurationError(f"No plugin brings the {self.kind} {name!r}. {hint}")
        return self._things[name][0]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._things)

    def things(self) -> list[T]:
        """All things, in the order of registration."""
        return [thing for thing, _ in self._things.values()]

    def owned_by(self, owner: str) -> tuple[str, ...]:
        """Names that belong to a plugin."""
        return tuple(sorted(name for name, (_, who) in self._things.items() if who == owner))

    def snapshot(self) -> dict[str, tuple[T, str]]:
        """A copy, for `restore`."""
        return dict(self._things)

    def restore(self, things: dict[str, tuple[T, str]]) -> None:
        """Go back to a copy."""
        self._things = dict(things)


class Registrations:
    """All shelves; one object a program, filled by the loader and only read afterwards."""

    def __init__(self) -> None:
        self.engines: Shelf[type[Engine]] = Shelf("engine")
        self.model_vendors: Shelf[type[ModelVendor]] = Shelf("model vendor")
        self.worker_vendors: Shelf[type[WorkerVendor]] = Shelf("worker vendor")
        self.probes: Shelf[type[Probe]] = Shelf("probe")
        self.policies: Shelf[type[Policy]] = Shelf("policy")
        self.presence_stores: Shelf[type[PresenceStore]] = Shelf("presence store")
        self.commands: Shelf[click.Command] = Shelf("command")

    @property
    def shelves(self) -> Mapping[str, Shelf[Any]]:
        """Every shelf by the verb of `Register` that fills it."""
        return {
            "engine": self.engines,
            "model_vendor": self.model_vendors,
            "worker_vendor": self.worker_vendors,
            "probe": self.probes,
            "policy": self.policies,
            "presence_store": self.presence_stores,
            "command": self.commands,
        }

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of a plugin's registrations or, when it raises, none of them."""
        before = {kind: shelf.snapshot() for kind, shelf in self.shelves.items()}
        try:
            yield
        except BaseException:
            for kind, shelf in self.shelves.items():
                shelf.restore(before[kind])
            raise


class OwnedRegister(Register):
    """The `Register` that one plugin is handed: it knows who is speaking."""

    def __init__(self, registrations: Registrations, owner: str) -> None:
        self._to = registrations
        self._owner = owner

    def engine(self, cls: type[Engine], *, replace: bool = False) -> None:
        self._add(self._to.engines, cls, Engine, replace=replace)

    def model_vendor(self, cls: type[ModelVendor], *, replace: bool = False) -> None:
        self._add(self._to.model_vendors, cls, ModelVendor, replace=replace)

    def worker_vendor(self, cls: type[WorkerVendor], *, replace: bool = False) -> None:
        self._add(self._to.worker_vendors, cls, WorkerVendor, replace=replace)

    def probe(self, cls: type[Probe], *, replace: bool = False) -> None:
        self._add(self._to.probes, cls, Probe, replace=replace)

    def policy(self, cls: type[Policy], *, replace: bool = False) -> None:
        self._add(self._to.policies, cls, Policy, replace=replace)

    def presence_store(self, cls: type[PresenceStore], *, replace: bool = False) -> None:
        self._add(self._to.presence_stores, cls, PresenceStore, replace=replace)

    def command(self, command: click.Command, *, replace: bool = False) -> None:
        if not command.name:
            raise PluginError(f"Plugin {self._owner!r} registers a command without a name.")
        self._to.commands.add(command.name, command, self._owner, replace=replace)

    def _add(self, shelf: Shelf[Any], cls: type, base: type, *, replace: bool) -> None:
        if not (inspect.isclass(cls) and issubclass(cls, base)):
            raise PluginError(f"Plugin {self._owner!r} registers {cls!r} as {shelf.kind}; it is no {base.__name__}.")
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not name or not name.replace("-", "").replace("_", "").isalnum():
            raise PluginError(
                f"Plugin {self._owner!r} registers the {shelf.kind} class {cls.__qualname__!r} with name {name!r}; "
                "a name is letters, digits, '-' and '_'."
            )
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            raise PluginError(
                f"Plugin {self._owner!r} registers the {shelf.kind} {name!r}, which lacks the methods: {missing}."
            )
        shelf.add(name, cls, self._owner, replace=replace)
