"""Spawn tokens: what a worker shows instead of the colony's token, where no TLS is spoken.

One is made for each worker that a hive starts, opens what a worker's certificate opens, and dies with the worker.  It
is signed with a key that is derived from the colony's token, so that every program which has that can tell a true one,
and the worker itself needs none: of the colony's token it knows the hash, by which it knows its callers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time

import msgspec

from rbee.trust.names import Peer, Role

PREFIX = b"rbee-worker-"
SPAWN_VARIABLE = "RBEE_WORKER_TOKEN"
"""Of a worker's environment: its spawn token."""
HASH_VARIABLE = "RBEE_TOKEN_SHA256"
"""Of a worker's environment: SHA-256 of the colony's token, in hexadecimal digits."""

_PURPOSE = b"rbee spawn token 1"
_LONGEST = 2048
_MOST_ENDED = 100_000


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says.

    Attributes:
        worker_id: whose it is.
        issued: when it was made, in nanoseconds since 1970.
        nonce: no two are alike.
    """

    worker_id: str
    issued: int
    nonce: str


def token_hash(token: str) -> str:
    """SHA-256 of the colony's token, in hexadecimal digits; a token is random, so that it cannot be guessed from it."""
    return hashlib.sha256(token.encode()).hexdigest()


class SpawnTokens:
    """Makes and judges them, and knows whose worker has ended.

    Args:
        secret: the colony's token; None makes none and believes none.
    """

    def __init__(self, secret: str | None) -> None:
        self._key = None if secret is None else hmac.digest(secret.encode(), _PURPOSE, "sha256")
        self._secret_hash = None if secret is None else token_hash(secret)
        self._closed: dict[str, None] = {}
        """Workers that have ended and got no certificate since."""
        self._ended: dict[str, int] = {}
        """By worker: until when tokens that were made for it are dead, in nanoseconds since 1970."""

    def make(self, worker_id: str) -> str | None:
        """A token for a worker that is about to be started; None without a secret."""
        if self._key is None:
            return None
        claims = _Claims(worker_id=worker_id, issued=time.time_ns(), nonce=secrets.token_hex(16))
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
        """Which worker shows a token; None when it is not one of ours, or its worker has ended."""
        if self._key is None or len(given) > _LONGEST or not given.startswith(PREFIX):
            return None
        said, _, signature = given.removeprefix(PREFIX).partition(b".")
        if not hmac.compare_digest(signature, self._signature(self._key, said)):
            return None
        try:
            claims = msgspec.json.decode(base64.urlsafe_b64decode(said + b"=" * (-len(said) % 4)), type=_Claims)
        except (binascii.Error, msgspec.DecodeError):
            return None
        if claims.issued <= self._ended.get(claims.worker_id, -1):
            return None
        return Peer(Role.WORKER, claims.worker_id)

    def end(self, worker_id: str) -> None:
        """A worker has ended: what was made for it until now opens nothing more, nor does its certificate."""
        self._ended.pop(worker_id, None)
        self._ended[worker_id] = time.time_ns()
        self._closed[worker_id] = None
        for kept in (self._ended, self._closed):
            if len(kept) > _MOST_ENDED:
                del kept[next(iter(kept))]

    def begin(self, worker_id: str) -> None:
        """A worker of that name gets a certificate: it is a new one."""
        self._closed.pop(worker_id, None)

    def has_ended(self, peer: Peer) -> bool:
        """Whether who has shown a certificate is a worker that has ended."""
        return peer.role is Role.WORKER and peer.id in self._closed

    @staticmethod
    def _signature(key: bytes, said: bytes) -> bytes:
        return base64.urlsafe_b64encode(hmac.digest(key, said, "sha256")).rstrip(b"=")
