"""The promises of `rbee.contract.Engine`, kept by engines of both bases."""

from __future__ import annotations

from rbee.testing.conformance.engine_base import EngineContract
from rbee.testing.conformance.served_engine import ServedEngineContract
from rbee.testing.conformance.token_engine import TokenEngineContract

__all__ = ["EngineContract", "ServedEngineContract", "TokenEngineContract"]
