"""llama.cpp as an engine of rbee."""

from rbee_llamacpp.engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
