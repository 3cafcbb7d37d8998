"""The data plane: bytes from a client to a worker and back, as they come."""

from rbee.gateway.asgi import AsgiRelay
from rbee.gateway.asked import Asked
from rbee.gateway.body import read_body, routing_fields
from rbee.gateway.calling import RelayCalls
from rbee.gateway.calls import Answer, Call, Calls
from rbee.gateway.dispatch import Dispatcher, Lease, Outcome, Queued, Route, Target
from rbee.gateway.pool import Pool
from rbee.gateway.relay import Relay
from rbee.gateway.sink import Sink
from rbee.gateway.traits import NO_TRAITS, Traits
from rbee.gateway.upstream import UpstreamError
from rbee.gateway.waited import UpstreamResponse

__all__ = [
    "NO_TRAITS",
    "Answer",
    "AsgiRelay",
    "Asked",
    "Call",
    "Calls",
    "Dispatcher",
    "Lease",
    "Outcome",
    "Pool",
    "Queued",
    "Relay",
    "RelayCalls",
    "Route",
    "Sink",
    "Target",
    "Traits",
    "UpstreamError",
    "UpstreamResponse",
    "read_body",
    "routing_fields",
]
