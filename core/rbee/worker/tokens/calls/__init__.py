"""Calls of tools in what models write, in the styles of the families that call tools."""

from rbee.worker.tokens.calls.deltas import CallDelta
from rbee.worker.tokens.calls.forcing import forcing_grammar
from rbee.worker.tokens.calls.parser import CallParser, Part
from rbee.worker.tokens.calls.styles import Style, style_of

__all__ = ["CallDelta", "CallParser", "Part", "Style", "forcing_grammar", "style_of"]
