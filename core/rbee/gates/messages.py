"""What a gate and the queen tell each other: arrays in MessagePack, many to a batch."""

from __future__ import annotations

import msgspec

from rbee.contract.errors import InvalidRequestError, RbeeError, UnavailableError, error_types
from rbee.contract.wire import RequestRecord
from rbee.gateway import Traits
from rbee.http.guard import Guard


class Opened(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The gate serves."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=2):
    """A request wants a place; see `rbee.gateway.Route`.

    Attributes:
        number: of the request, by which all that follows names it; used once by a gate.
        request_id: as the client knows it.
        path: OpenAI path.
        model: as the client named it.
        stream: whether events are expected.
        trusted: the caller has sent the colony's token.
        continues: it takes up an answer that another worker has begun.
        tried: workers that have failed with it.
        waits: it waits for a place; else it wants to hear at once that none is free.
        traits: see `rbee.gateway.Traits`.
    """

    number: int
    request_id: str
    path: str
    model: str
    stream: bool
    trusted: bool
    continues: bool
    tried: tuple[str, ...]
    waits: bool
    traits: Traits


class GiveUp(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=3):
    """A request wants no place any more; one that is on its way goes back."""

    number: int


class Done(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=4):
    """A place is free again; see `rbee.gateway.Outcome`."""

    number: int
    reached: bool
    first_byte_s: float | None
    status: int | None


class Ended(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=5):
    """A request has ended."""

    record: RequestRecord


class Drained(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=6):
    """No request is open any more, or the time is up for the last of them."""

    still_open: int


class Welcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=20):
    """All that a gate needs to know.

    Attributes:
        guard: who may call what.
        max_body: bytes that a request for inference may have.
        queen_port: of loopback, where the queen takes what gates do not serve.
        log_level: of Python's logging.
        drain_s: seconds that open requests get when the queen is gone.
        identity: folder of what the queen shows to others; None where no TLS is spoken.
        brought: files of the operator's own certificate and its key; None for none.
        hop: what she is called among the queens that a request has come through.
    """

    guard: Guard
    max_body: int
    queen_port: int
    log_level: int
    drain_s: float
    identity: str | None = None
    brought: tuple[str, str] | None = None
    hop: str = ""


class Placed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=21):
    """A place at a worker; see `rbee.gateway.Lease`."""

    number: int
    worker_id: str
    model_id: str | None
    hive_id: str | None
    reason: str
    host: str
    port: int
    beside: int | None = None
    server_name: str | None = None
    """That the worker's certificate has to be for; None where no TLS is spoken."""


class Waits(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=22):
    """Where a request is in the queue; see `rbee.gateway.Queued`."""

    number: int
    position: int
    expected_s: float | None


class Refused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=23):
    """There is no place; the error in parts."""

    number: int
    code: str
    message: str
    details: dict[str, object]
    param: str | None
    retry_after_s: int | None


class NoneFree(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=24):
    """No place is free this instant, for who does not wait."""

    number: int


class Lost(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=25):
    """The worker of a place is dead, or hangs."""

    number: int


class Drain(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=26):
    """Take no more, finish what is open, and end."""

    within_s: float


FromGate = Opened | Ask | GiveUp | Done | Ended | Drained
FromQueen = Welcome | Placed | Waits | Refused | NoneFree | Lost | Drain


def refusal(number: int, error: RbeeError) -> Refused:
    """An error in parts."""
    return Refused(
        number=number,
        code=error.code,
        message=error.message,
        details=error.details,
        param=error.param if isinstance(error, InvalidRequestError) else None,
        retry_after_s=error.retry_after_s if isinstance(error, UnavailableError) else None,
    )


def error_of(told: Refused) -> RbeeError:
    """The error again, of the class that its code stands for."""
    kind = error_types().get(told.code, RbeeError)
    error = kind(told.message, details=told.details)
    if isinstance(error, InvalidRequestError):
        error.param = told.param
    if isinstance(error, UnavailableError) and told.retry_after_s is not None:
        error.retry_after_s = told.retry_after_s
    return error
