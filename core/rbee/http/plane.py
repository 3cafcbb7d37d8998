"""The guard in front of the routes that are served below ASGI: the same checks as `Front`'s, for the same routes."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from rbee.contract.errors import InvalidRequestError, RbeeError
from rbee.http.cors import allowed_origin, told_to_pages
from rbee.http.direct import Admitted, DirectCycle, Headers, Underway
from rbee.http.errors import public_error, render
from rbee.http.front import OPENAI_POSTS, harmless_id
from rbee.http.guard import Guard
from rbee.trust.names import Peer

log = logging.getLogger(__name__)

_HOSTS_KEPT = 256

Serve = Callable[[Admitted, bytes, DirectCycle], Underway]


class Plane:
    """The OpenAI POST routes, below ASGI.

    Args:
        guard: who may call.
        serve: takes a whole request that may be served.
        max_body: bytes a body may have.
    """

    def __init__(self, guard: Guard, serve: Serve, max_body: int) -> None:
        self._guard = guard
        self.serve = serve
        self.max_body = max_body
        self._asks_for_token = guard.asks_for_token
        self._hosts: set[bytes] = set()
        """Values of Host that have passed; to judge one costs more than all the rest."""
        self._prefix = f"req-{uuid.uuid4().hex[:16]}-"
        self._numbers = itertools.count(1)
        self._paths = {prefix + path.encode(): path for path in sorted(OPENAI_POSTS) for prefix in (b"", b"/openai")}

    def takes(self, method: bytes, url: bytes) -> str | None:
        """See `DirectRoutes.takes`; a query is allowed and means nothing."""
        if method != b"POST":
            return None
        found = self._paths.get(url)
        if found is not None or (b"?" not in url and b"%" not in url and b"://" not in url):
            return found
        if b"://" in url.partition(b"?")[0]:
            # The absolute form, as proxies are asked.
            url = b"/" + url.partition(b"://")[2].partition(b"/")[2]
        path = unquote_to_bytes(url.partition(b"?")[0].partition(b"#")[0])
        return self._paths.get(path)

    def admit(self, path: str, headers: Headers, *, local: bool, peer: Peer | None = None) -> Admitted:
        """See `DirectRoutes.admit`."""
        guard = self._guard
        request_id = host = origin = token = None
        hosts = 0
        for name, value in headers:
            if name == b"host":
                host = value
                hosts += 1
            elif name == b"authorization":
                if token is None and value[:7].lower() == b"bearer ":
                    token = value[7:].strip()
            elif name == b"origin":
                origin = value
            elif name == b"x-request-id":
                request_id = request_id or harmless_id(value)
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise InvalidRequestError(
                    f"Content-Encoding {value.decode('latin-1')!r} is not taken; send the body uncompressed."
                )
        if origin is not None or hosts != 1 or host not in self._hosts:
            guard.check_place(headers)
            if host is not None and len(self._hosts) < _HOSTS_KEPT:
                self._hosts.add(host)
        # The common case compares once; the other says what is wrong.
        trusted = token is not None and guard.is_token(token)
        if not trusted and token is None and peer is not None:
            guard.check_peer(peer, ("POST", path))
            trusted = True
        if not trusted:
            if self._asks_for_token:
                guard.check_token(headers)
            trusted = guard.knows(headers)
        told = allowed_origin(guard, headers) if origin is not None else None
        return Admitted(
            path=path,
            request_id=request_id or self._fresh_id(),
            headers=headers,
            trusted=trusted,
            local=local,
            told=[] if told is None else told_to_pages(told),
        )

    def again(self, admitted: Admitted) -> Admitted:
        """See `DirectRoutes.again`."""
        return Admitted(
            path=admitted.path,
            request_id=self._fresh_id(),
            headers=admitted.headers,
            trusted=admitted.trusted,
            local=admitted.local,
            told=admitted.told,
            shared=admitted.shared,
        )

    def _fresh_id(self) -> str:
        return self._prefix + str(next(self._numbers))

    def refusal(self, error: RbeeError, request_id: str | None) -> tuple[int, Headers, bytes]:
        """See `DirectRoutes.refusal`."""
        told = public_error(error, where="the gateway")
        answer = render(told, openai=True, correlation_id=request_id)
        return answer.status, list(answer.headers), answer.body
