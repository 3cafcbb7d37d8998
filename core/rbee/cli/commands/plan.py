"""``rbee plan``: the same as ``rbee model plan``."""

from __future__ import annotations

from rbee.cli.commands.model.plan import command

__all__ = ["command"]
