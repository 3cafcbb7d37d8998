"""What `rbee hive add` does with a machine that stands in the list now: rbee is brought there, and its hive started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.format import UNKNOWN, line
from rbee.cli.locate import find_queen
from rbee.cli.outcomes import raise_failures
from rbee.cli.queen import ask_queen
from rbee.contract.checks import Check
from rbee.contract.errors import ConflictError, RbeeError
from rbee.contract.wire import RemoteHive


def why_not(context: Context, name: str, checks: tuple[Check, ...]) -> str | None:
    """Why nothing can be installed on a machine yet, and what to do; None where it can be tried.

    Args:
        context: of the command.
        name: of the machine.
        checks: what was found there.
    """
    later = f"Then: rbee hive install {name}"
    if any(one.status == "fail" for one in checks):
        return f"Nothing was installed there, because of what is marked with x above. {later}"
    if find_queen(context) is None:
        return f"Nothing was installed there: no queen runs. Start her: rbee --set server.host=0.0.0.0 up. {later}"
    try:
        ask_queen(context, lambda queen: queen.certificates.info())
    except ConflictError:
        return (
            "Nothing was installed there: the queen listens on loopback alone, where the machine does not reach her. "
            f"Start her with an address that it reaches: rbee --set server.host=0.0.0.0 up. {later}"
        )
    return None


def first_install(name: str, fields: Mapping[str, Any]) -> RemoteHive:
    """Install on a machine that was entered, start its hive, and wait until the queen hears it.

    Args:
        name: of the machine.
        fields: of `hive_install`; None values are left out.

    Raises:
        RbeeError: the step, the machine, the cause and the remedy.
    """
    # Late: what is entered alone needs none of it.
    from rbee.cli.remote_hives import on_machines

    asked = on_machines("hive_install", [name], fields)
    try:
        raise_failures(asked)
    except RbeeError as error:
        again = f"The machine stays on the list. Once that is mended: rbee hive install {name}"
        raise type(error)(f"{error.message} {again}", details=error.details) from error
    (found,) = (one.result for one in asked if one.result is not None)
    return found


def tell(found: RemoteHive) -> None:
    """Say that it runs, and with which devices."""
    devices = UNKNOWN if not found.devices else ", ".join(found.devices)
    boot = "" if found.boot else f" It does not come back by itself when {found.host} is started."
    say(line(f"Hive {found.hive_id} is online with rbee {found.environment}; devices: {devices}.{boot}"))
