"""The orchestrator: runtime state, scheduling, gateway, jobs."""

from rbee.queen.app import make_app
from rbee.queen.service import QueenService

__all__ = ["QueenService", "make_app"]
