"""Files and folders as artefacts that are used in place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from rbee.contract import Capability, ModelFigures, ModelFile, ModelVariant
from rbee.contract.formats import ModelHead
from rbee.contract.model_refs import quantization_in

VENDOR = "local"
CAPABILITIES = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS})
"""A file does not tell what its model is good at, so nothing is held back that an engine offers."""
_MADE_FOR = MappingProxyType(
    {
        "mean": frozenset({Capability.EMBEDDINGS}),
        "cls": frozenset({Capability.EMBEDDINGS}),
        "last": frozenset({Capability.EMBEDDINGS}),
        "rank": frozenset({Capability.RERANK}),
    }
)
"""By pooling: files of models for embeddings and for ranking do tell."""

_SUM = re.compile(r"(?:sha256-)?([0-9a-f]{64})")


def gguf_variant(
    model_id: str, name: str, parts: Sequence[Path], figures: ModelFigures, revision: str | None = None
) -> ModelVariant:
    """A GGUF model; the quantisation in its file's name goes before the one in its head, which knows fewer.

    Raises:
        OSError: a file has gone.
    """
    return ModelVariant(
        model_id=model_id,
        name=name,
        vendor=VENDOR,
        format="gguf",
        files=_listed(parts[0].parent, parts),
        quantization=quantization_in(parts[0].stem) or figures.quantization,
        revision=revision,
        in_place=str(parts[0]),
        context_length=figures.context_length,
        capabilities=_MADE_FOR.get(figures.pooling or "", CAPABILITIES),
        figures=figures,
    )


def folder_variant(
    model_id: str, name: str, folder: Path, weights: Sequence[Path], head: ModelHead, revision: str | None = None
) -> ModelVariant:
    """A model in safetensors files.

    Raises:
        OSError: a file has gone.
    """
    figures = head.figures
    return ModelVariant(
        model_id=model_id,
        name=name,
        vendor=VENDOR,
        format=head.format,
        files=_listed(folder, weights),
        quantization=figures.quantization,
        revision=revision,
        in_place=str(folder),
        context_length=figures.context_length,
        capabilities=CAPABILITIES,
        figures=figures,
    )


def _listed(folder: Path, paths: Sequence[Path]) -> tuple[ModelFile, ...]:
    return tuple(
        ModelFile(name=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=_sum(path))
        for path in paths
    )


def _sum(path: Path) -> str | None:
    """Stores that name files by their checksums tell them for nothing."""
    real = path.resolve() if path.is_symlink() else path
    found = _SUM.fullmatch(real.name) if real.parent.name == "blobs" else None
    return found[1] if found else None
