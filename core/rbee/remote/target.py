"""Whom to connect to: what a row of the registry says, for SSH."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from rbee.beehives import Beehive
from rbee.contract.errors import InvalidRequestError


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A machine to connect to.  What is None is taken from the SSH configuration, else as SSH does.

    Attributes:
        name: by which the operator calls it.
        host: name or address.
        port: of its SSH server.
        user: who logs in.
        key: private key on this machine.
        alias: under which it stands in the SSH configuration.
        jumps: machines to go through, the nearest first; None for what the SSH configuration says.
        pinned: fingerprint of the host key that was agreed on.
        config: SSH configuration; None for the user's own, should there be one.
        known_hosts: known hosts; None for what the SSH configuration says.
    """

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    key: Path | None = None
    alias: str | None = None
    jumps: tuple[Target, ...] | None = None
    pinned: str | None = None
    config: Path | None = None
    known_hosts: Path | None = None

    @property
    def looked_up(self) -> str:
        """By what name it stands in the SSH configuration."""
        return self.alias or self.host or self.name


def target_of(beehive: Beehive, others: Iterable[Beehive] = ()) -> Target:
    """What the registry says of a machine.

    Args:
        beehive: the machine.
        others: the rest of the registry: a machine to jump through may be one of them, by its name.

    Raises:
        InvalidRequestError: its jump is no list of machines.
    """
    jumps = None
    if beehive.ssh_jump is not None:
        jumps = jumps_of(beehive.ssh_jump, {one.node_name: one for one in others})
    return Target(
        name=beehive.node_name,
        host=beehive.ssh_host,
        port=beehive.ssh_port,
        user=beehive.ssh_user,
        key=None if beehive.ssh_key_path is None else Path(beehive.ssh_key_path).expanduser(),
        alias=beehive.ssh_alias,
        jumps=jumps,
        pinned=beehive.host_key_fingerprint,
    )


def jumps_of(text: str, known: dict[str, Beehive] | None = None) -> tuple[Target, ...]:
    """Machines to go through, as ``ProxyJump`` of ssh_config(5) has them: ``[user@]host[:port]``, with commas between.

    Args:
        text: the list; ``none`` for no machine.
        known: machines of the registry, by name.

    Raises:
        InvalidRequestError: it is no such list.
    """
    if text.lower() == "none":
        return ()
    return tuple(_jump(word.strip().removeprefix("ssh://"), text, known or {}) for word in text.split(","))


def _jump(word: str, text: str, known: dict[str, Beehive]) -> Target:
    if word in known:
        # Its own jump is not followed: the list says the whole way.
        return msgspec.structs.replace(target_of(known[word]), jumps=None)
    user, _, place = word.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if (
        not host
        or host.startswith("-")
        or (port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536))
    ):
        raise InvalidRequestError(
            f"{text!r} is no way to a machine: write [USER@]HOST[:PORT], several with commas between.", param="ssh_jump"
        )
    # Looked up in the SSH configuration, where it may stand for another address.
    return Target(name=word, alias=host, port=int(port) if port else None, user=user or None)
