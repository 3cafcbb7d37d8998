"""The event loop of a program that carries much traffic: its kind, its memory, its writes."""

from rbee.eventloop.fast import fast_loop, settle_memory
from rbee.eventloop.writes import GatheredTransport, Writes

__all__ = ["GatheredTransport", "Writes", "fast_loop", "settle_memory"]
