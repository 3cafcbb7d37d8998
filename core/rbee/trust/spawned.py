"""Spawn tokens: what a worker shows instead of the colony's token, where no TLS is spoken.

One is made for each worker that a hive starts, opens what a worker's certificate opens, and dies with the worker.  It
is signed with a key that is derived from the colony's token, so that every program which has that can tell a true one,
and the worker itself needs none: of the colony's token it knows the hash, by which it knows its callers.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
from pathlib import Path

import msgspec

from rbee.contract.errors import ConfigurationError
from rbee.trust.names import Peer, Role
from rbee.trust.private import write_private

log = logging.getLogger(__name__)

PREFIX = b"rbee-worker-"
SPAWN_VARIABLE = "RBEE_WORKER_TOKEN"
"""Of a worker's environment: its spawn token."""
HASH_VARIABLE = "RBEE_TOKEN_SHA256"
"""Of a worker's environment: SHA-256 of the colony's token, in hexadecimal digits."""

_PURPOSE = b"rbee spawn token 1"
_LONGEST = 2048
_MOST_ENDED = 50_000
_MOST_SEEN = 50_000
_SHOWN = 4
"""What a worker has shown lately: its certificate is renewed now and then."""
_SERIAL_BITS = 128


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says.

    Attributes:
        worker_id: whose it is.
        serial: no two tokens have the same; in hexadecimal digits.
    """

    worker_id: str
    serial: str


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def token_hash(token: str) -> str:
    """SHA-256 of the colony's token, in hexadecimal digits; a token is random, so that it cannot be guessed from it."""
    return hashlib.sha256(token.encode()).hexdigest()


class SpawnTokens:
    """Makes and judges them, and knows which of them, and of workers' certificates, belong to workers that have ended.

    Args:
        secret: the colony's token; None makes none and believes none.
        ended: file in which the serials of what has ended are kept over a restart; None keeps them in memory alone.
    """

    def __init__(self, secret: str | None, ended: Path | None = None) -> None:
        self._key = None if secret is None else hmac.digest(secret.encode(), _PURPOSE, "sha256")
        self._secret_hash = None if secret is None else token_hash(secret)
        self._file = ended
        self._ended = _read(ended)
        self._seen: dict[str, tuple[int, ...]] = {}
        """By worker: serials of what it has shown."""

    def make(self, worker_id: str) -> str | None:
        """A token for a worker that is about to be started; None without a secret."""
        if self._key is None:
            return None
        claims = _Claims(worker_id=worker_id, serial=f"{secrets.randbits(_SERIAL_BITS):x}")
        said = base64.urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=")
        return (PREFIX + said + b"." + self._signature(self._key, said)).decode("ascii")

    def environment(self, worker_id: str) -> dict[str, str]:
        """What the process of a worker that is about to be started gets instead of the colony's token."""
        token = self.make(worker_id)
        if token is None or self._secret_hash is None:
            return {}
        # Empty, not absent: what the hive itself was started with must not show through.
        return {SPAWN_VARIABLE: token, HASH_VARIABLE: self._secret_hash, "RBEE_TOKEN": ""}

    def judge(self, given: bytes) -> Peer | None:
        """Which worker shows a token, with its serial; None when it is not one of ours, or its worker has ended."""
        if self._key is None or len(given) > _LONGEST or not given.startswith(PREFIX):
            return None
        said, _, signature = given.removeprefix(PREFIX).partition(b".")
        if not hmac.compare_digest(signature, self._signature(self._key, said)):
            return None
        try:
            claims = msgspec.json.decode(base64.urlsafe_b64decode(said + b"=" * (-len(said) % 4)), type=_Claims)
            peer = Peer(Role.WORKER, claims.worker_id, int(claims.serial, 16))
        except (binascii.Error, msgspec.DecodeError, ValueError):
            return None
        return None if self.has_ended(peer) else peer

    def has_ended(self, peer: Peer) -> bool:
        """Whether what a program has shown belongs to a worker that has ended."""
        return peer.role is Role.WORKER and peer.serial in self._ended

    def seen(self, peer: Peer) -> None:
        """A program has shown this: when it is a worker's, it dies with the worker."""
        if peer.role is not Role.WORKER:
            return
        shown = self._seen.get(peer.id, ())
        if peer.serial not in shown:
            self._seen[peer.id] = (*shown[1 - _SHOWN :], peer.serial)
            if len(self._seen) > _MOST_SEEN:
                del self._seen[next(iter(self._seen))]

    def end(self, worker_id: str) -> None:
        """The process of a worker has ended: what it has shown opens nothing more.

        By serial and not by name: the next worker of that name has its own.
        """
        shown = self._seen.pop(worker_id, ())
        self._ended.update(dict.fromkeys(shown))
        while len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        if shown and self._file is not None:
            try:
                with open(self._file, "a", encoding="ascii", opener=_private) as file:  # a Path has no opener
                    file.writelines(f"{serial:x}\n" for serial in shown)
            except OSError as error:
                log.warning("what worker %s has shown is not remembered as ended: %s", worker_id, error)

    @staticmethod
    def _signature(key: bytes, said: bytes) -> bytes:
        return base64.urlsafe_b64encode(hmac.digest(key, said, "sha256")).rstrip(b"=")


def _read(file: Path | None) -> dict[int, None]:
    """Serials of what has ended, the oldest first; the file is shortened when it holds too many."""
    if file is None:
        return {}
    try:
        lines = file.read_text("ascii", "replace").splitlines()
    except OSError:
        return {}
    # The last line may be half of one.
    found = {int(line, 16): None for line in lines if _SERIAL.fullmatch(line)}
    if len(lines) > 2 * _MOST_ENDED:
        found = dict.fromkeys(list(found)[-_MOST_ENDED:])
        with contextlib.suppress(ConfigurationError):
            write_private(file, "".join(f"{serial:x}\n" for serial in found).encode())
    return found


_SERIAL = re.compile(r"[0-9a-f]{1,64}")
