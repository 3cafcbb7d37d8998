"""Which quantisation is taken when nobody names one."""

from __future__ import annotations

from typing import Final

_BEST_FIRST: Final = (
    "Q4_K_M",
    "Q4_K_S",
    "Q4_K_XL",
    "Q4_K_L",
    "MXFP4",
    "MXFP4_MOE",
    "Q5_K_M",
    "Q4_0",
    "Q5_K_S",
    "Q5_K_L",
    "Q5_K_XL",
    "IQ4_NL",
    "Q6_K",
    "Q6_K_L",
    "Q6_K_XL",
    "Q8_0",
    "Q8_K_XL",
    "IQ4_XS",
    "Q4_K",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q5_K",
    "Q3_K_M",
    "Q3_K_L",
    "Q3_K_XL",
    "IQ3_M",
    "IQ3_S",
    "Q3_K_S",
    "IQ3_XS",
    "IQ3_XXS",
    "Q2_K_L",
    "Q2_K_XL",
    "Q2_K",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "TQ2_0",
    "TQ1_0",
    "IQ1_M",
    "IQ1_S",
)
"""Four bits first, where little is lost and most machines have the memory; then what is nearest to that."""

_NOT_QUANTISED: Final = ("F16", "BF16", "F32")
_BEST_BITS: Final = 4.0


def rank(quantization: str | None) -> tuple[int, str]:
    """Sorts quantisations of GGUF files, the best first; those that nobody has ranked before the unquantised ones."""
    word = (quantization or "").removeprefix("UD-")
    if word in _BEST_FIRST:
        return _BEST_FIRST.index(word), quantization or ""
    if word in _NOT_QUANTISED:
        return len(_BEST_FIRST) + 1 + _NOT_QUANTISED.index(word), word
    return len(_BEST_FIRST), word


def bits_rank(quantization: str | None) -> tuple[float, float]:
    """Sorts quantisations that are told in bits, as ``4.0BPW``: four bits first, then the nearest above and below."""
    digits = (quantization or "").removesuffix("BPW").removesuffix("BIT")
    try:
        bits = float(digits)
    except ValueError:
        return 100.0, 0.0
    return abs(bits - _BEST_BITS), -bits
