"""What goes wrong with another machine, as errors that name it, the step, the cause and what to do."""

from __future__ import annotations

import errno
import socket
from typing import Any, Literal

import asyncssh

from rbee.contract.errors import (
    ConfigurationError,
    ConflictError,
    InsufficientDiskError,
    PermissionDeniedError,
    PortTakenError,
    RbeeError,
    UnreachableError,
)

Cause = Literal[
    "login",
    "name",
    "route",
    "refused",
    "timeout",
    "line",
    "protocol",
    "key_file",
    "config",
    "disk_full",
    "denied",
    "missing",
    "no_sftp",
    "forwarding",
    "port_taken",
    "key_unknown",
    "key_changed",
    "key_refused",
    "other",
]
"""Why, for a program: ``details["cause"]`` of every error made here."""

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_NO_ENTRY = (
    "Name the right user (USER@HOST) or key (--identity FILE), put a key with a passphrase into the agent (ssh-add), "
    "or let the key in there (ssh-copy-id). rbee asks for no passwords."
)
_NOT_TAKEN = (
    "Somebody may stand between, or its certificate has run out. Look into the known hosts of SSH (@revoked, "
    "@cert-authority), and compare with what ssh -v says."
)
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_FORBIDDEN = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect)
_BROKEN = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, ConnectionError)


class HostKeyUnknownError(ConflictError):
    """Nobody has said yet that the machine's key is the right one; `details` has ``fingerprint`` and ``key_type``."""


class HostKeyChangedError(PermissionDeniedError):
    """The machine shows another key than the one that was agreed on; `details` has ``fingerprint`` and ``known``."""


def failure(error: BaseException, name: str, step: str, place: str) -> RbeeError:
    """The error to raise for one of asyncssh or of the operating system.

    Args:
        error: what happened; one that rbee raised on purpose stays as it is.
        name: of the machine, as the operator calls it.
        step: what was being done, as it stands in a sentence: ``connecting``.
        place: whom and where: ``user@host:port``.
    """
    if isinstance(error, RbeeError):
        return error
    kind, cause, what = _told(error, place)
    return kind(f"Hive {name!r}, {step}: {what}", details=told(name, step, cause))


def told(name: str, step: str, cause: Cause, **more: Any) -> dict[str, Any]:
    """The details of an error, for a program."""
    return {"host": name, "step": step, "cause": cause, **more}


def taken(name: str, step: str, place: str, port: int) -> PortTakenError:
    """A port there that was asked for is not to be had; its SSH server does not say why."""
    return PortTakenError(
        f"Hive {name!r}, {step}: {place} does not give port {port}. Another program there has it (look with: ss -ltnp "
        f"'sport = :{port}'), or its SSH server forwards no port: it needs 'AllowTcpForwarding yes'.",
        details=told(name, step, "port_taken", port=port),
    )


def unknown_key(
    name: str, place: str, fingerprint: str, key_type: str, leads_to: str | None = None
) -> HostKeyUnknownError:
    """The key is to be agreed on first.

    Args:
        name: of the machine.
        place: ``user@host:port``.
        fingerprint: of the key that was shown.
        key_type: of that key.
        leads_to: the machine that is meant, where this one stands on the way to it; None where it is meant itself.
    """
    if leads_to is None:
        remedy = (
            f"then the same command with --accept-fingerprint {fingerprint}, or for a machine of the list: "
            f"rbee hive add {name} --accept-fingerprint {fingerprint}"
        )
    else:
        who, _, port = place.rpartition(":")
        remedy = (
            f"it stands on the way to {leads_to!r}, so agree on it first, under a name of its own: rbee hive add {who} "
            f"--name NAME --ssh-port {port} --no-install --accept-fingerprint {fingerprint}; then jump by that name. "
            "Or let ssh put it among the known hosts of the user who runs the queen"
        )
    return HostKeyUnknownError(
        f"Hive {name!r}, checking the host key: {place} shows a key that nobody has agreed on: {fingerprint} "
        f"({key_type}). Compare it on that machine (`ssh-keygen -lf` on its host key file); {remedy}",
        details=told(name, "checking the host key", "key_unknown", fingerprint=fingerprint, key_type=key_type),
    )


def changed_key(name: str, place: str, fingerprint: str, key_type: str, known: str | None) -> HostKeyChangedError:
    """The key is another one than was agreed on.

    Args:
        name: of the machine.
        place: ``user@host:port``.
        fingerprint: of the key that was shown.
        key_type: of that key.
        known: the fingerprint that was agreed on; None when the known hosts of SSH have another key.
    """
    expected = "your known hosts of SSH have another one" if known is None else f"{known} was agreed on"
    return HostKeyChangedError(
        f"Hive {name!r}, checking the host key: {place} shows {fingerprint} ({key_type}), but {expected}. Somebody "
        "may stand between, or the machine was set up anew. Only after comparing it on that machine: "
        f"rbee hive add {name} --accept-fingerprint {fingerprint}",
        details=told(
            name, "checking the host key", "key_changed", fingerprint=fingerprint, key_type=key_type, known=known
        ),
    )


def _told(error: BaseException, place: str) -> tuple[type[RbeeError], Cause, str]:
    for found in (_of_login(error, place), _of_line(error, place), _of_files(error, place)):
        if found is not None:
            return found
    words = str(error) or type(error).__name__
    return ConfigurationError, "other", f"{place}: {words}. Try the same by hand with ssh, with -v."


def _of_login(error: BaseException, place: str) -> tuple[type[RbeeError], Cause, str] | None:
    if isinstance(error, asyncssh.PermissionDenied):
        return (
            PermissionDeniedError,
            "login",
            f"{place} lets no key in that was offered. {_NO_ENTRY}",
        )
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return (
            PermissionDeniedError,
            "key_refused",
            f"the host key of {place} is not taken: {error.reason}. {_NOT_TAKEN}",
        )
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return (
            ConfigurationError,
            "key_file",
            f"a private key cannot be used: {error}. One with a passphrase belongs into the agent (ssh-add).",
        )
    if isinstance(error, asyncssh.ConfigParseError):
        return ConfigurationError, "config", f"the SSH configuration cannot be read: {error}. Correct the file."
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolError | asyncssh.ProtocolNotSupported):
        return UnreachableError, "protocol", f"{place} speaks no SSH that is understood here: {error.reason}."
    return None


def _of_line(error: BaseException, place: str) -> tuple[type[RbeeError], Cause, str] | None:
    if isinstance(error, TimeoutError):
        return (
            UnreachableError,
            "timeout",
            f"{place} does not answer in time. Is the machine on, and does no firewall stand between?",
        )
    if isinstance(error, socket.gaierror):
        return UnreachableError, "name", f"the name of {place} is not known here. Use its address instead."
    if isinstance(error, ConnectionRefusedError):
        return (
            UnreachableError,
            "refused",
            f"{place} refuses the connection. Does its SSH server run, and on that port?",
        )
    if isinstance(error, asyncssh.ChannelListenError):
        return (
            ConfigurationError,
            "forwarding",
            f"{place} forwards no port: {error}. Its SSH server needs 'AllowTcpForwarding yes'.",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        if error.code == asyncssh.OPEN_REQUEST_SESSION_FAILED:
            return (
                ConfigurationError,
                "no_sftp",
                f"{place} takes no files: its SSH server has no SFTP ('Subsystem sftp ...' in its sshd_config).",
            )
        return UnreachableError, "forwarding", f"{place} cannot be reached through the machine before it: {error}."
    if isinstance(error, _BROKEN):
        return UnreachableError, "line", f"the line to {place} broke: {str(error) or 'closed'}. Try again."
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return UnreachableError, "route", f"no way leads to {place}: {error.strerror}. Is it in this network?"
    return None


def _of_files(error: BaseException, place: str) -> tuple[type[RbeeError], Cause, str] | None:
    if isinstance(error, _FULL):
        return InsufficientDiskError, "disk_full", f"the disk of {place} is full. Make room there."
    if isinstance(error, _FORBIDDEN):
        return PermissionDeniedError, "denied", f"{place} forbids it: {error.reason}. Whose is the folder?"
    if isinstance(error, _MISSING):
        return ConfigurationError, "missing", f"it is not there on {place}: {error.reason}."
    if isinstance(error, OSError) and error.filename is not None:
        return ConfigurationError, "key_file", f"'{error.filename}': {error.strerror}. Name another file."
    if isinstance(error, OSError):
        return UnreachableError, "line", f"{place}: {error.strerror or error}."
    return None
