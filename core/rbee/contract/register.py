"""The door through which plugins and core alike add their classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from rbee.contract.engine import Engine
    from rbee.contract.policy import Policy
    from rbee.contract.presence import PresenceStore
    from rbee.contract.probe import Probe
    from rbee.contract.vendor import ModelVendor
    from rbee.contract.worker_vendor import WorkerVendor


class Register(ABC):
    """Verbs of registration, handed to the hook ``rbee_register``.

    Every class carries its ``name``; each kind has a name space of its own.  Nothing is instantiated here:
    the program that needs an object makes it, without arguments.

    Raises (every verb):
        DuplicateNameError: the name is taken and `replace` is false; the message names both owners.
        PluginError: the class has no usable name or is still abstract.
    """

    @abstractmethod
    def engine(self, cls: type[Engine], *, replace: bool = False) -> None:
        """Add an inference engine."""

    @abstractmethod
    def model_vendor(self, cls: type[ModelVendor], *, replace: bool = False) -> None:
        """Add a source of models."""

    @abstractmethod
    def worker_vendor(self, cls: type[WorkerVendor], *, replace: bool = False) -> None:
        """Add a source of engines."""

    @abstractmethod
    def probe(self, cls: type[Probe], *, replace: bool = False) -> None:
        """Add a reader of hardware and process figures."""

    @abstractmethod
    def policy(self, cls: type[Policy], *, replace: bool = False) -> None:
        """Add a way of choosing among workers."""

    @abstractmethod
    def presence_store(self, cls: type[PresenceStore], *, replace: bool = False) -> None:
        """Add a place where the registry keeps its leases."""

    @abstractmethod
    def command(self, command: click.Command, *, replace: bool = False) -> None:
        """Add a command to the ``rbee`` command line."""
