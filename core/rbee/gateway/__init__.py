"""The data plane: bytes from a client to a worker and back, as they come."""

from rbee.gateway.body import read_body, routing_fields
from rbee.gateway.dispatch import Dispatcher, Lease, Outcome, Route, Target
from rbee.gateway.pool import Pool
from rbee.gateway.relay import Relay
from rbee.gateway.upstream import UpstreamError, UpstreamResponse

__all__ = [
    "Dispatcher",
    "Lease",
    "Outcome",
    "Pool",
    "Relay",
    "Route",
    "Target",
    "UpstreamError",
    "UpstreamResponse",
    "read_body",
    "routing_fields",
]
