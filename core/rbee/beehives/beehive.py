"""One machine that an operator has entered."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rbee.contract.errors import InvalidRequestError

SSH_PORT = 22
"""Where a machine's SSH server listens, when nothing else was said."""

HIVE_PORT = 7835
"""Where a machine's hive listens, when nothing else was said."""

BeehiveStatus = Literal["unknown", "reachable", "online", "offline", "error"]
BeehiveReach = Literal["direct", "tunnel"]
"""At its own address, or through an SSH tunnel."""

# These words become arguments of programs such as ssh one day: none may look like an option or begin a new line.
_BAD = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:@+-]{0,127}\Z")]
Word = Annotated[str, Meta(max_length=255, pattern=rf"^[^-\s{_BAD}][^\s{_BAD}]*\Z")]
Line = Annotated[str, Meta(max_length=4096, pattern=rf"^[^-{_BAD}][^{_BAD}]*\Z")]
Fingerprint = Annotated[str, Meta(pattern=r"^SHA256:[A-Za-z0-9+/]{43}\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]
LabelKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,62}\Z")]
LabelValue = Annotated[str, Meta(max_length=255, pattern=rf"^[^{_BAD}]*\Z")]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)]


class Beehive(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the colony: how to reach it, and how the last contact went.

    Attributes:
        node_name: by what name the operator calls it; the key.
        ssh_host: name or address.
        ssh_port: of its SSH server; None for 22.
        ssh_user: who logs in; None for what SSH would take.
        ssh_key_path: private key on the queen's machine; None for what SSH would take.
        ssh_alias: under what name it stands in the SSH configuration of the queen's user; None when it does not.
        ssh_jump: machines to go through, as ``ProxyJump`` of ssh_config(5) has them; None for what SSH would take.
        git_repo_url: where rbee comes from on that machine.
        git_branch: which branch of it.
        install_path: where rbee is on that machine.
        hive_port: of its hive; None for 7835.
        labels: free words for choosing machines.
        enabled: whether the queen tries to reach it.
        host_key_fingerprint: of the SSH host key, as ``SHA256:...``.
        last_connected_unix: when its hive last answered, in seconds since 1970; None when it never did.
        status: ``online``: its hive answers; ``reachable``: the machine's SSH server answers and no hive does;
            ``offline``: nothing answers; ``error``: something else than a hive of this colony answers; ``unknown``:
            not tried yet.
        backends: how its workers can drive its devices, as its hive has told; None before that.
        devices: ids of its devices, likewise.
        reach: how its hive was reached last; None before that.
        reach_wanted: the only way that is tried; None for whichever leads there.
        tunnel_port: the port of the machine's loopback that its SSH tunnel leads to the queen.
        created_at: when it was entered.
        updated_at: when the operator last changed it.
    """

    node_name: NodeName
    ssh_host: Word | None = None
    ssh_port: Port | None = None
    ssh_user: Word | None = None
    ssh_key_path: Line | None = None
    ssh_alias: Word | None = None
    ssh_jump: Word | None = None
    git_repo_url: Line | None = None
    git_branch: Word | None = None
    install_path: Line | None = None
    hive_port: Port | None = None
    labels: Labels = {}
    enabled: bool = True
    host_key_fingerprint: Word | None = None
    last_connected_unix: int | None = None
    status: BeehiveStatus = "unknown"
    backends: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    reach: BeehiveReach | None = None
    reach_wanted: BeehiveReach | None = None
    tunnel_port: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def place(self) -> Place:
        """Where it is reached."""
        return Place(self.ssh_host, self.ssh_port, self.hive_port)


class Place(NamedTuple):
    """Where a machine and its hive are reached."""

    ssh_host: str | None
    ssh_port: int | None
    hive_port: int | None


class BeehiveChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator says of a machine: what is not said stays as it is, or as `Beehive` begins.

    Attributes are those of `Beehive` that an operator decides.
    """

    node_name: NodeName
    ssh_host: Word | UnsetType | None = UNSET
    ssh_port: Port | UnsetType | None = UNSET
    ssh_user: Word | UnsetType | None = UNSET
    ssh_key_path: Line | UnsetType | None = UNSET
    ssh_alias: Word | UnsetType | None = UNSET
    ssh_jump: Word | UnsetType | None = UNSET
    git_repo_url: Line | UnsetType | None = UNSET
    git_branch: Word | UnsetType | None = UNSET
    install_path: Line | UnsetType | None = UNSET
    hive_port: Port | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    host_key_fingerprint: Fingerprint | UnsetType | None = UNSET
    reach_wanted: BeehiveReach | UnsetType | None = UNSET

    def said(self) -> dict[str, Any]:
        """What was said, by column; without the name."""
        found = {name: getattr(self, name) for name in self.__struct_fields__ if name != "node_name"}
        return {name: value for name, value in found.items() if value is not UNSET}


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of machines that were entered together: their names."""

    added: tuple[str, ...]
    updated: tuple[str, ...]


_COLUMN = re.compile(r"\$\.(\w+)")


def checked(changes: BeehiveChanges) -> BeehiveChanges:
    """The same, when all of it is within bounds: names, lengths, ports, no control characters.

    Raises:
        InvalidRequestError: something is not; the message names it.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(changes), BeehiveChanges)
    except msgspec.ValidationError as error:
        what = str(error).partition(" - at `")[0]
        where = _COLUMN.search(str(error))
        column = where[1] if where else "node_name"
        value = getattr(changes, column, None)
        raise InvalidRequestError(
            f"Beehive {changes.node_name!r}: {column} {value!r} will not do: {_plain(what, column)}.", param=column
        ) from error


def _plain(problem: str, column: str) -> str:
    """The validator's words, but for patterns, which tell a person nothing."""
    if column.endswith("_port"):
        return "a port is a number from 1 to 65535"
    if "matching regex" not in problem:
        return problem[0].lower() + problem[1:]
    if column == "node_name":
        return "use letters, digits and . _ : @ + -, at most 128, the first a letter, a digit or _"
    if column == "host_key_fingerprint":
        return "it is SHA256: and 43 characters, as `ssh-keygen -lf FILE` prints it"
    if column == "labels":
        return "keys are letters, digits and . _ / -, at most 63, and values have no control characters"
    return "it must not be empty, begin with '-' or hold control characters or, but in paths, spaces"
