"""What may be set for a worker besides threads, slots and context."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from rbee.contract import EngineOption, LoadSpec
from rbee.contract.errors import InvalidRequestError, ModelFileError

from rbee_llamacpp.preflight import looks_like_gguf

OPTIONS = (
    EngineOption(
        name="lora",
        kind="text",
        help="LoRA adapters: absolute paths of GGUF files with commas between, each with :SCALE behind it where that "
        "is not 1.",
    ),
    EngineOption(
        name="draft_model",
        kind="text",
        help="Absolute path of a small GGUF model with the same vocabulary that guesses tokens ahead.",
    ),
    EngineOption(
        name="draft_max", kind="int", help="Most tokens that the draft model guesses at a time.", low=1, high=64
    ),
    EngineOption(
        name="ngram_draft",
        kind="bool",
        help="Guess tokens ahead from what the conversation has said before, without a draft model.",
        default=False,
    ),
    EngineOption(
        name="pooling",
        kind="text",
        help="How a model for embeddings makes one vector of those of its tokens, where its file does not say.",
        choices=("mean", "cls", "last"),
    ),
    EngineOption(
        name="session_cache_mb",
        kind="int",
        help="MiB of disk, for all workers of the engine on the machine, for caches of conversations that have left "
        "their slot; 0 keeps none.",
        default=0,
        low=0,
        high=1 << 24,
    ),
)

_SCALED = re.compile(r"(?P<path>.+):(?P<scale>-?\d+(?:\.\d+)?)")


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter.

    Attributes:
        path: its file.
        scale: how much of it is added.
    """

    path: str
    scale: float = 1.0


def adapters(spec: LoadSpec) -> tuple[Adapter, ...]:
    """The adapters that a load asks for.

    Raises:
        InvalidRequestError: a path is not absolute.
        ModelFileError: a file is not there, or no GGUF file.
    """
    found = []
    for word in filter(None, (part.strip() for part in str(spec.options.get("lora") or "").split(","))):
        scaled = _SCALED.fullmatch(word)
        path, scale = (scaled["path"], float(scaled["scale"])) if scaled else (word, 1.0)
        found.append(Adapter(_checked("lora", path), scale))
    return tuple(found)


def draft_model(spec: LoadSpec) -> str | None:
    """The model that guesses ahead; raises as `adapters`."""
    path = str(spec.options.get("draft_model") or "")
    return _checked("draft_model", path) if path else None


def _checked(option: str, path: str) -> str:
    if not Path(path).is_absolute():
        raise InvalidRequestError(
            f"the option {option!r} takes absolute paths, and {path!r} is none", param=f"options.{option}"
        )
    reason = looks_like_gguf(Path(path))
    if reason is not None:
        raise ModelFileError(f"file '{path}' of the option {option!r} cannot be loaded: {reason}.")
    return path
