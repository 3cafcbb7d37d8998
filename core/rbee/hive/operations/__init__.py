"""What a hive can be asked to do: the handlers of its jobs, one module a subject."""

from rbee.hive.operations.operations import Operations

__all__ = ["Operations"]
