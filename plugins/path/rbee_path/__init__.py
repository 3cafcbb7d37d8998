"""Engines that a machine already has: servers on its PATH, described by records."""

from rbee_path.engine import PathEngine, engine_of
from rbee_path.reading import read_records
from rbee_path.record import EngineRecord

__all__ = ["EngineRecord", "PathEngine", "engine_of", "read_records"]
