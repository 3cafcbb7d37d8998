"""Words for how a model's weights were made smaller."""

from __future__ import annotations

import re

# Bounded everywhere, so that no text takes longer than its length.
_WEIGHTS = r"(?:UD-)?(?:IQ|TQ|Q)\d(?:_(?:K[A-Z]{0,2}|X{0,2}[SML]|NL|P|R?\d)){0,4}"
_FLOATS = r"BF16|FP?16|FP?32|FP8|(?:MX|NV)?FP4(?:_MOE)?|NF4|INT[48]"
_BITS = r"\d{1,2}[-_]?BIT|\d{1,2}(?:\.\d{1,3})?BPW"
_WORD = rf"(?:{_WEIGHTS}|{_FLOATS}|{_BITS})"

_WHOLE = re.compile(_WORD, re.IGNORECASE | re.ASCII)
_WITHIN = re.compile(rf"(?<![A-Za-z0-9]){_WORD}(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)
_RATE = re.compile(r"[0-9.]+BPW")


def looks_like_quantization(text: str) -> str | None:
    """The quantisation that `text` is, in upper case; None when it is something else.

    ``q4_k_m`` gives ``Q4_K_M``, ``fp16`` gives ``F16``, ``4-bit`` gives ``4BIT``.
    """
    return _plain(text) if _WHOLE.fullmatch(text) else None


def quantization_in(file_name: str) -> str | None:
    """The quantisation that a file's name ends with, as ``Q4_K_M``; None when it names none."""
    found = _WITHIN.findall(file_name)
    return _plain(found[-1]) if found else None


def is_branch_word(quantization: str) -> bool:
    """Whether hubs keep this quantisation in a branch of that name instead of in a file."""
    return _RATE.fullmatch(quantization) is not None


def _plain(word: str) -> str:
    upper = word.upper()
    if upper.endswith("BIT"):
        return upper.replace("-", "").replace("_", "")
    return upper.replace("FP", "F") if upper in {"FP16", "FP32"} else upper
