"""Whether a machine's host key is the one that was agreed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncssh

from rbee.remote.failing import changed_key, unknown_key

Agree = Callable[[str, str], bool]
"""Told a fingerprint (``SHA256:...``) and the type of the key; says whether it is the right one."""

KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", "rsa-sha2-512,rsa-sha2-256")
"""Keys that a machine may have, one kind a word: a fingerprint that was agreed on is of one of them."""

PLAIN = ",".join(KEY_KINDS)
"""All of them, without certificates."""


def no_known_hosts() -> asyncssh.SSHKnownHosts:
    """Known hosts that know none."""
    return asyncssh.import_known_hosts("")


class KeyJudge(asyncssh.SSHClient):
    """Judges the key of one connection; the known hosts of SSH were looked at before it is asked.

    Args:
        name: of the machine, for messages.
        place: ``user@host:port``, likewise.
        pinned: the fingerprint that was agreed on; None when none was.
        agree: asked about a key that nobody knows; None agrees on none.
        leads_to: the machine that is meant, where this one stands on the way to it; None where it is meant itself.
    """

    def __init__(
        self, name: str, place: str, pinned: str | None, agree: Agree | None, leads_to: str | None = None
    ) -> None:
        self._name = name
        self._place = place
        self._pinned = pinned
        self._agree = agree
        self._leads_to = leads_to
        # Until the known hosts were asked: what they may know is not for anybody to agree on.
        self._known_otherwise = True
        self.refusal: Exception | None = None
        """Why the key was refused, once it was."""
        self.strange_authority = False
        """It showed a certificate of an authority that nobody here knows: its plain key is to be asked for."""

    def looking_up(self, known_hosts: Any) -> Callable[[str, str, int | None], Sequence[Any]]:
        """Known hosts for asyncssh, which asks them at the beginning; what they know of the machine is noted here.

        Args:
            known_hosts: any that asyncssh takes but None.
        """

        def look_up(host: str, addr: str, port: int | None) -> Sequence[Any]:
            keys, authorities, revoked, *_ = asyncssh.match_known_hosts(known_hosts, host, addr, port)
            self._known_otherwise = bool(keys)
            return keys, authorities, revoked

        return look_up

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """No authority will do but those that the known hosts have for this machine."""
        self.strange_authority = True
        return False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether the key will do; it is not among those that the known hosts have for this machine."""
        fingerprint, kind = key.get_fingerprint("sha256"), key.get_algorithm()
        if self._pinned is not None:
            if fingerprint != self._pinned:
                self.refusal = changed_key(self._name, self._place, fingerprint, kind, self._pinned)
        elif self._known_otherwise:
            self.refusal = changed_key(self._name, self._place, fingerprint, kind, None)
        elif self._agree is None or not self._agree(fingerprint, kind):
            self.refusal = unknown_key(self._name, self._place, fingerprint, kind, self._leads_to)
        return self.refusal is None
