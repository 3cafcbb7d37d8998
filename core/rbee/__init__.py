"""rbee: one private LLM cloud from the machines you already own."""

from rbee.contract.version import __version__

__all__ = ["__version__"]
