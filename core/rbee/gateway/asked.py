"""A request as it arrives at the relay, whichever way it came."""

from __future__ import annotations

import msgspec

from rbee.gateway.message import ClientHead


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request.

    Attributes:
        path: OpenAI path without prefix; the worker is asked the same one.
        request_id: told to the worker and back to the client.
        headers: of the client; names in lower case.
        body: whole, within its bounds.
        trusted: the caller has sent the colony's token.
        local: the caller is on this machine: it may know which worker answered, and why.
        door: path that the client called, for records.
        head: what the relay needs of `headers`, where that is known already.
    """

    path: str
    request_id: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    trusted: bool = False
    local: bool = False
    door: str | None = None
    head: ClientHead | None = None
