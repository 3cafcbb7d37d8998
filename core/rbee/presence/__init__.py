"""Leases: who is there and at which address."""

from rbee.presence.leases import Leases

__all__ = ["Leases"]
