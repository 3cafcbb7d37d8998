"""The discovery service: who is there and at which address."""

from rbee.registry.app import make_app
from rbee.registry.service import RegistryService

__all__ = ["RegistryService", "make_app"]
