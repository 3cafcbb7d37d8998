"""Machines of a ``hives.conf``: ``Host`` blocks as in ssh_config(5), with what only hives have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rbee.beehives.beehive import BeehiveChanges, checked
from rbee.beehives.conf_blocks import ALWAYS, Patterns, Scoped, concrete, first_values
from rbee.beehives.conf_lines import read_directives
from rbee.beehives.imported import Imported
from rbee.contract.errors import ConfigurationError, InvalidRequestError

_KEYWORDS = ("Host", "HostName", "Port", "User", "IdentityFile", "HivePort", "InstallPath", "BinaryPath")
_SMALL = frozenset(keyword.lower() for keyword in _KEYWORDS)


def read_hives_conf(file: Path, *, home: Path) -> Imported:
    """All machines of the file; values for several stand in a block with wildcards, and the first value wins.

    Args:
        file: to read.
        home: for ``~`` in ``IdentityFile``.

    Raises:
        ConfigurationError: it cannot be read, or a line is wrong; the message names file and line.
    """
    try:
        scoped = list(_scoped(file))
    except OSError as error:
        raise ConfigurationError(
            f"'{file}' cannot be read: {error.strerror}. Name another: rbee hive import --from hives.conf --file FILE"
        ) from error
    beehives = []
    for name, where in concrete(scoped):
        found = first_values((one for one in scoped if one.directive.keyword != "host"), name)
        said: dict[str, Any] = {"ssh_host": found["hostname"].value() if "hostname" in found else name}
        if "port" in found:
            said["ssh_port"] = found["port"].port()
        if "hiveport" in found:
            said["hive_port"] = found["hiveport"].port()
        if "user" in found:
            said["ssh_user"] = found["user"].value()
        if "identityfile" in found:
            key = found["identityfile"].value()
            said["ssh_key_path"] = f"{home}{key[1:]}" if key.startswith("~/") else key
        path = found.get("installpath") or found.get("binarypath")
        if path is not None:
            said["install_path"] = path.value()
        try:
            beehives.append(checked(BeehiveChanges(node_name=name, **said)))
        except InvalidRequestError as error:
            raise where.error(error.message.rstrip(".")) from error
    return Imported(beehives=tuple(beehives))


def _scoped(file: Path) -> list[Scoped]:
    found = []
    named: dict[str, int] = {}
    block: Patterns = ALWAYS
    for directive in read_directives(file):
        if directive.keyword not in _SMALL:
            raise directive.error(f"{directive.keyword!r} is no keyword here; those are {', '.join(_KEYWORDS)}")
        if directive.keyword == "host":
            block = directive.args
            if not block:
                raise directive.error("'Host' needs at least one name")
            for name in block:
                if name in named and not any(char in name for char in "*?!"):
                    raise directive.error(f"{name!r} stands already in line {named[name]}")
                named.setdefault(name, directive.line)
        elif len(directive.args) != 1 or not directive.args[0]:
            raise directive.error(f"{directive.keyword!r} needs one value; put it in quotes when it has spaces")
        elif directive.keyword.endswith("port"):
            directive.port()
        found.append(Scoped((block,), directive))
    return found
