"""The operations `hive_connect` and `hive_doctor`: machines are reached over SSH and looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from rbee.beehives import BeehiveChanges
from rbee.beehives.beehive import checked
from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.wire import HiveConnect, HiveDoctor
from rbee.http.guard import is_loopback
from rbee.jobs import Narrator, Operation, parse

if TYPE_CHECKING:
    from rbee.remote.arriving import Entries, Examined, Surroundings


class Machines:
    """Other machines, as the queen reaches them.

    Args:
        entries: the list of machines.
        url: as others reach the queen.
        online: whether she hears a hive.
    """

    def __init__(self, entries: Callable[[], Entries], url: str, online: Callable[[str], bool]) -> None:
        self._entries = entries
        self._url = url
        self._online = online

    def operations(self) -> Mapping[str, Operation]:
        """All of them, by name."""
        return {
            # Begun again after a crash it might find its own entry, and call that a conflict.
            "hive_connect": Operation(handler=self.hive_connect, request=HiveConnect, check=_node),
            "hive_doctor": Operation(handler=self.hive_doctor, request=HiveDoctor, check=_named, resumable=True),
        }

    async def hive_connect(self, body: dict[str, Any], say: Narrator) -> Examined:
        """Log in on a machine, look at it, and enter it."""
        # Late: what speaks SSH takes long to load, and most queens never do.
        from rbee.remote.arriving import arrive

        wanted, node = parse(body, HiveConnect), _node(body)
        return await arrive(
            node,
            self._entries(),
            self._around(),
            lambda sentence: say.say("queen", "hive_connect", sentence, node.node_name),
            update=wanted.update,
            accept=wanted.accept_fingerprint,
            accept_any=wanted.accept_any,
        )

    async def hive_doctor(self, body: dict[str, Any], say: Narrator) -> Examined:
        """Look at a machine that was entered."""
        from rbee.remote.arriving import examine

        name = _named(body)
        entered = {one.node_name: one for one in await self._entries().list()}
        if name not in entered:
            raise NotFoundError(f"There is no hive {name!r} on the list. `rbee hive ls` shows it.")
        return await examine(
            entered[name],
            list(entered.values()),
            self._around(),
            lambda sentence: say.say("queen", "hive_doctor", sentence, name),
        )

    def _around(self) -> Surroundings:
        from rbee.remote.arriving import Surroundings

        # On loopback alone nobody else reaches her, and their own loopback is not hers.
        alone = is_loopback(urlsplit(self._url).hostname or "")
        return Surroundings(queen_url=None if alone else self._url, online=self._online)


def _node(body: dict[str, Any]) -> BeehiveChanges:
    try:
        return checked(msgspec.convert(body["node"], BeehiveChanges))
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"The machine is not as `POST /v2/registry/beehives/add` has it: {error}.") from error


def _named(body: dict[str, Any]) -> str:
    name = body.get("hive_id")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError("Name the machine in 'hive_id'; `rbee hive ls` lists them.", param="hive_id")
    return name
