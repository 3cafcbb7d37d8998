"""``rbee model pull``: the same as ``rbee pull``."""

from rbee.cli.commands.pull import command

__all__ = ["command"]
