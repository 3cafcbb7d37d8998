"""The OpenAI routes: requests go to the relay as they come."""

from __future__ import annotations

from rbee.gateway import Asked, Relay
from rbee.gateway.message import client_head
from rbee.gateway.passage import Passage
from rbee.http.direct import Admitted, DirectCycle
from rbee.http.guard import Guard
from rbee.http.plane import Plane


def make_plane(relay: Relay, guard: Guard, max_body: int) -> Plane:
    """The OpenAI routes below ASGI.

    Args:
        relay: serves them.
        guard: who may call.
        max_body: bytes that a request may have.
    """

    def serve(admitted: Admitted, body: bytes, answer: DirectCycle) -> Passage:
        shared = admitted.shared
        if shared.made is None:
            shared.made = client_head(admitted.headers)
        asked = Asked(
            path=admitted.path,
            request_id=admitted.request_id,
            headers=admitted.headers,
            body=body,
            trusted=admitted.trusted,
            local=admitted.local,
            head=shared.made,
        )
        return relay.serve(asked, answer)

    return Plane(guard, serve, max_body)
