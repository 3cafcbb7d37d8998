"""Whom a program calls: how a message names it, and by what name it must prove itself."""

from __future__ import annotations

from typing import NamedTuple

from rbee.trust.names import Role, internal_name


class Who(NamedTuple):
    """A program on the other side.

    Attributes:
        title: begins a sentence.
        server_name: that its certificate has to be for; None for any of the colony's.
    """

    title: str
    server_name: str | None = None

    def __str__(self) -> str:
        return self.title


QUEEN = Who("The queen", internal_name(Role.QUEEN))
REGISTRY = Who("The registry", internal_name(Role.REGISTRY))
SOME_HIVE = Who("The hive")
"""One whose id is not known yet."""


def the_hive(hive_id: str) -> Who:
    """A hive, by its id."""
    return Who(f"Hive {hive_id!r}", internal_name(Role.HIVE, hive_id))


def the_worker(worker_id: str) -> Who:
    """A worker, by its id."""
    return Who(f"Worker {worker_id!r}", internal_name(Role.WORKER, worker_id))


def the_program(name: str) -> Who:
    """The one that is meant by the name of a kind: ``queen``, ``registry`` or ``hive``."""
    return {"queen": QUEEN, "registry": REGISTRY}.get(name, SOME_HIVE)
