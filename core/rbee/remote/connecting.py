"""A connection to another machine: found by the SSH configuration, its key checked, the way there gone step by step."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh

from rbee.contract.errors import UnreachableError
from rbee.remote.failing import HostKeyChangedError, failure
from rbee.remote.host_keys import KEY_KINDS, PLAIN, Agree, KeyJudge, no_known_hosts
from rbee.remote.ssh_host import SshHost
from rbee.remote.target import Target, jumps_of, target_of

__all__ = ["CONNECT_S", "Agree", "Target", "connect", "target_of"]

CONNECT_S = 10.0
"""Seconds after which one try to connect has failed."""

_PAUSES_S = (0.5, 1.5)
_ALIVE_S = 15.0
_ALIVE_MISSED = 3


async def connect(
    target: Target,
    *,
    agree: Agree | None = None,
    tries: int = 3,
    timeout_s: float = CONNECT_S,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SshHost:
    """Log in on a machine.

    Args:
        target: which one.
        agree: asked about its host key when that is neither pinned nor among the known hosts; None agrees on none.
            Keys of machines on the way must be one or the other.
        tries: how often it is tried; what another try would not change is not tried again.
        timeout_s: of one try, for each machine on the way.
        pause: waits between tries.

    Raises:
        UnreachableError: nothing answers there, or no SSH server.
        PermissionDeniedError: the user or the key is wrong; as `HostKeyChangedError`, the host key is another.
        HostKeyUnknownError: the host key, or that of a machine on the way, is to be agreed on first; `details` has it.
        ConfigurationError: a key file or the SSH configuration cannot be used.
    """
    for pause_s in [*_PAUSES_S[: tries - 1], None]:
        try:
            return await _through(target, agree, timeout_s)
        except UnreachableError:
            if pause_s is None:
                raise
            await pause(pause_s)
    raise AssertionError("the last try raises or returns")


async def _through(target: Target, agree: Agree | None, timeout_s: float) -> SshHost:
    """Go the whole way; what was opened is closed again when it fails."""
    async with contextlib.AsyncExitStack() as opened:
        jumps = target.jumps
        if jumps is None:
            jumps = await _configured_jumps(target, {target.looked_up})
        before: asyncssh.SSHClientConnection | None = None
        for one in jumps:
            hop = Target(**{**_fields(one), "config": target.config, "known_hosts": target.known_hosts})
            # Agreed on is the key of the one machine that is meant: of the others nobody would keep what they showed.
            before = await _one(hop, before, None, timeout_s, leads_to=target.name)
            opened.callback(before.close)
        connection = await _one(target, before, agree, timeout_s)
        opened.callback(connection.close)
        return SshHost(target.name, connection, _place(target, connection), opened.pop_all(), is_behind=bool(jumps))


def _fields(target: Target) -> dict[str, Any]:
    return {name: getattr(target, name) for name in target.__struct_fields__}


async def _configured_jumps(target: Target, seen: set[str]) -> tuple[Target, ...]:
    """Machines on the way to a machine, as the SSH configuration says; a machine stands in no way to itself."""
    options = await _options(target)
    if not isinstance(options.tunnel, str) or options.tunnel.lower() == "none":
        return ()
    jumps = tuple(
        Target(**{**_fields(one), "config": target.config, "known_hosts": target.known_hosts})
        for one in jumps_of(options.tunnel)
    )
    first = jumps[0].looked_up
    return () if first in seen else (*await _configured_jumps(jumps[0], {*seen, first}), *jumps)


class _Way(NamedTuple):
    """Leads to the address that the registry says, where the SSH configuration says another for the alias."""

    before: asyncssh.SSHClientConnection | None
    host: str

    async def create_connection(self, factory: Any, host: str, port: int) -> Any:
        if self.before is not None:
            return await self.before.create_connection(factory, self.host, port)
        return await asyncio.get_running_loop().create_connection(factory, self.host, port)


async def _one(
    target: Target,
    before: asyncssh.SSHClientConnection | None,
    agree: Agree | None,
    timeout_s: float,
    leads_to: str | None = None,
) -> asyncssh.SSHClientConnection:
    """Log in on one machine of the way; where another of its keys was pinned, that one is asked for."""
    try:
        return await _try(target, before, agree, timeout_s, (), leads_to)
    except HostKeyChangedError as error:
        if target.pinned is None:
            raise
        # A machine has keys of several kinds, and the one that was agreed on need not be the one it shows first.
        shown = str(error.details["key_type"])
        for kinds in KEY_KINDS:
            if not _same_kind(shown, kinds):
                with contextlib.suppress(HostKeyChangedError, UnreachableError):
                    return await _try(target, before, agree, timeout_s, kinds, leads_to)
        raise


def _same_kind(key_type: str, kinds: str) -> bool:
    return key_type in kinds or (key_type == "ssh-rsa" and kinds.startswith("rsa"))


async def _try(
    target: Target,
    before: asyncssh.SSHClientConnection | None,
    agree: Agree | None,
    timeout_s: float,
    kinds: Any,
    leads_to: str | None,
) -> asyncssh.SSHClientConnection:
    options = await _options(target)
    place = f"{options.username}@{target.host or options.host}:{options.port}"
    judge = KeyJudge(target.name, place, target.pinned, agree, leads_to)
    given: dict[str, Any] = {"tunnel": before}
    if target.host is not None and target.host != options.host and not options.proxy_command:
        given = {"tunnel": _Way(before, target.host), "host_key_alias": target.host}
    if kinds:
        given["server_host_key_algs"] = kinds
    try:
        return await asyncssh.connect(
            target.looked_up,
            options=options,
            config=_config(target),
            client_factory=lambda: judge,
            known_hosts=judge.looking_up(_known_hosts(target, options)),
            connect_timeout=timeout_s,
            keepalive_interval=_ALIVE_S,
            keepalive_count_max=_ALIVE_MISSED,
            **given,
        )
    except (OSError, asyncssh.Error, TimeoutError, ValueError) as error:
        if judge.refusal is not None:
            raise judge.refusal from error
        if judge.strange_authority and not kinds:
            return await _try(target, before, agree, timeout_s, PLAIN, leads_to)
        raise failure(error, target.name, "connecting", place) from error


async def _options(target: Target) -> asyncssh.SSHClientConnectionOptions:
    """What the SSH configuration says of a machine; what the registry says wins."""
    given: dict[str, Any] = {}
    if target.port is not None:
        given["port"] = target.port
    if target.user is not None:
        given["username"] = target.user
    if target.key is not None:
        given["client_keys"] = [str(target.key)]
    try:
        # In a thread: the configuration and keys are read.
        return await asyncio.to_thread(
            asyncssh.SSHClientConnectionOptions,
            host=target.looked_up,
            config=_config(target),
            # A key with a passphrase is taken from the agent, and nobody is asked for anything.
            ignore_encrypted=True,
            password_auth=False,
            kbdint_auth=False,
            command=None,
            request_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            **given,
        )
    except (OSError, asyncssh.Error, ValueError) as error:
        raise failure(error, target.name, "reading the SSH configuration", target.looked_up) from error


def _config(target: Target) -> Any:
    return () if target.config is None else [str(target.config)]


def _known_hosts(target: Target, options: asyncssh.SSHClientConnectionOptions) -> Any:
    """Where keys are looked up; never nowhere, which asyncssh would take for any key being right."""
    if target.pinned is not None:
        return no_known_hosts()
    if target.known_hosts is not None:
        return str(target.known_hosts) if target.known_hosts.is_file() else no_known_hosts()
    if options.known_hosts is None:
        return no_known_hosts()
    usual = Path("~/.ssh/known_hosts").expanduser()
    return options.known_hosts or (str(usual) if os.access(usual, os.R_OK) else no_known_hosts())


def _place(target: Target, connection: asyncssh.SSHClientConnection) -> str:
    host = target.host or connection.get_extra_info("host")
    return f"{connection.get_extra_info('username')}@{host}:{connection.get_extra_info('port')}"
