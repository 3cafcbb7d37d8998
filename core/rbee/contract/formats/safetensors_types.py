"""Types of numbers in safetensors files."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

BITS: Final = MappingProxyType(
    {
        "BOOL": 8,
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E5M2FNUZ": 8,
        "F8_E4M3FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "I64": 64,
        "U64": 64,
        "F64": 64,
        "C64": 64,
    }
)

PACKED: Final = frozenset({"U8", "I32", "U32"})
"""Types into which quantised models pack several weights."""

QUANTIZATIONS: Final = MappingProxyType(
    {"F16": "F16", "BF16": "BF16", "F32": "F32", "F8_E4M3": "FP8", "F8_E5M2": "FP8"}
)
"""What a model is called that consists of that type for the most part."""

HELPERS: Final = (
    ".absmax",
    ".biases",
    ".g_idx",
    ".nested_absmax",
    ".nested_quant_map",
    ".quant_map",
    ".qzeros",
    ".scales",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_zero_point",
    "_scales",
)
"""How names of tensors end that hold no weights: they say how the weights beside them are packed."""
