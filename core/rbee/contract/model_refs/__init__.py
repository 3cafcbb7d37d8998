"""Names of models: one grammar, one parser, one canonical form."""

from rbee.contract.model_refs.grammar import parse_ref
from rbee.contract.model_refs.quantizations import looks_like_quantization, quantization_in
from rbee.contract.model_refs.ref import ModelRef, RefKind

__all__ = ["ModelRef", "RefKind", "looks_like_quantization", "parse_ref", "quantization_in"]
