"""Entering a machine with a connection to prove it, and looking again at one that was entered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from rbee.beehives import HIVE_PORT, SSH_PORT, Beehive, BeehiveChanges, Entered
from rbee.beehives.beehive import checked
from rbee.contract.checks import Check
from rbee.contract.errors import ConflictError, RbeeError
from rbee.remote.connecting import connect, target_of
from rbee.remote.findings import judged
from rbee.remote.host_keys import Agree
from rbee.remote.preflight import Look, look
from rbee.remote.ssh_host import SshHost

Say = Callable[[str], None]


class Entries(Protocol):
    """What is needed of the registry of machines; errors as `BeehiveRegistry` raises them."""

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool) -> Entered:
        """Enter machines, all or none."""

    async def list(self) -> list[Beehive]:
        """All machines, by name."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at a machine.

    Attributes:
        node_name: the machine.
        checks: the connection first; with a failed one it is the only one.
        place: ``user@host:port`` as it was reached; None when it was not.
        fingerprint: of its host key, ``SHA256:...``.
        key_type: of that key.
        look: what is there.
        added: it was entered anew.
        updated: its entry was changed.
    """

    node_name: str
    checks: tuple[Check, ...]
    place: str | None = None
    fingerprint: str | None = None
    key_type: str | None = None
    look: Look | None = None
    added: bool = False
    updated: bool = False


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks.

    Attributes:
        queen_url: as other machines reach the queen; None where she is on loopback alone, or does not run.
        index_url: a package index that machines may reach; None does not try.
        online: whether the queen hears a hive.
    """

    queen_url: str | None = None
    index_url: str | None = None
    online: Callable[[str], bool] = lambda _: False


async def arrive(
    changes: BeehiveChanges,
    entries: Entries,
    around: Surroundings,
    say: Say,
    *,
    update: bool = False,
    accept: str | None = None,
    accept_any: bool = False,
) -> Examined:
    """Log in on a machine, look at it, and enter it with the key that it showed.

    Nothing is entered unless the connection stands.

    Args:
        changes: what is said of it; an address that is not said is taken from the connection.
        entries: the registry.
        around: who looks.
        say: told each step.
        update: change one of that name.
        accept: fingerprint of the host key that was agreed on just now, in the place of one that was pinned.
        accept_any: agree on whatever key it shows, unless another one is known.

    Raises:
        ConflictError: there is one of that name; as `HostKeyUnknownError`, its key is to be agreed on first.
        RbeeError: it cannot be reached, as `connect` raises.
    """
    changes = checked(changes)
    others = {one.node_name: one for one in await entries.list()}
    before = others.get(changes.node_name)
    if before is not None and not update:
        raise ConflictError(
            f"Hive {changes.node_name!r} is there already. Look at it: rbee hive doctor {changes.node_name}; install "
            f"rbee there: rbee hive install {changes.node_name}; change it with --update, or remove it first: "
            f"rbee hive rm {changes.node_name}"
        )
    wanted = _merged(changes, before)
    if accept is not None:
        wanted = msgspec.structs.replace(wanted, host_key_fingerprint=accept)
    agree: Agree | None = (lambda *_: True) if accept_any else None
    say(f"Connecting to {wanted.node_name}")
    host = await connect(target_of(wanted, others.values()), agree=agree)
    try:
        found = await _examined(wanted, host, around, say)
    finally:
        await host.close()
    said: dict[str, Any] = {**changes.said(), "host_key_fingerprint": host.fingerprint}
    if wanted.ssh_host is None:
        said["ssh_host"] = host.address
        if wanted.ssh_port is None and host.port != SSH_PORT:
            said["ssh_port"] = host.port
    say(f"Entering {wanted.node_name} into the list of hives")
    entered = await entries.enter([BeehiveChanges(node_name=changes.node_name, **said)], update=update)
    return msgspec.structs.replace(found, added=bool(entered.added), updated=bool(entered.updated))


async def examine(beehive: Beehive, others: Sequence[Beehive], around: Surroundings, say: Say) -> Examined:
    """Look at a machine that was entered; that it cannot be reached is a finding too, and raises nothing.

    Args:
        beehive: the machine.
        others: the rest of the registry.
        around: who looks.
        say: told each step.
    """
    say(f"Connecting to {beehive.node_name}")
    try:
        host = await connect(target_of(beehive, others))
    except RbeeError as error:
        return Examined(node_name=beehive.node_name, checks=(_not_connected(beehive, error),))
    try:
        return await _examined(beehive, host, around, say)
    except RbeeError as error:
        return Examined(node_name=beehive.node_name, checks=(_not_connected(beehive, error),), place=host.place)
    finally:
        await host.close()


async def _examined(beehive: Beehive, host: SshHost, around: Surroundings, say: Say) -> Examined:
    say(f"Looking at {beehive.node_name} as {host.place}")
    found = await look(
        host,
        port=beehive.hive_port or HIVE_PORT,
        queen_url=around.queen_url,
        index_url=around.index_url,
        # Behind another machine the same address may be somebody else's.
        address=None if host.is_behind else (beehive.ssh_host or host.address),
    )
    key = f"{host.key_type} {host.fingerprint}"
    stands = Check(name="connection", status="ok", detail=f"{host.place}, host key {key}")
    return Examined(
        node_name=beehive.node_name,
        checks=(stands, *judged(found, beehive.node_name, hive_runs=around.online(beehive.node_name))),
        place=host.place,
        fingerprint=host.fingerprint,
        key_type=host.key_type,
        look=found,
    )


def _not_connected(beehive: Beehive, error: RbeeError) -> Check:
    what = error.message.removeprefix(f"Hive {beehive.node_name!r}, ")
    return Check(name="connection", status="fail", detail=what, remedy=None)


def _merged(changes: BeehiveChanges, before: Beehive | None) -> Beehive:
    if before is None:
        return Beehive(node_name=changes.node_name, **changes.said())
    return msgspec.structs.replace(before, **changes.said())
