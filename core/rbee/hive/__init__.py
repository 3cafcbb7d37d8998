"""One machine's executor: starts, stops and measures workers, and holds models."""

from rbee.hive.app import make_app
from rbee.hive.service import HiveService

__all__ = ["HiveService", "make_app"]
