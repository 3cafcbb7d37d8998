"""Models called by a word, as ``qwen3-8b``: which repository is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from rbee.contract import ModelVariant
from rbee.contract.errors import (
    ModelFileError,
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)
from rbee.contract.model_refs import ModelRef, looks_like_quantization

from rbee_huggingface.folders import guessed_format
from rbee_huggingface.listing import Found, Library
from rbee_huggingface.variants import variants_of

MOST_LOOKED_INTO: Final = 6
"""Repositories, whatever the search has found."""

_SEARCHED: Final = 100
_NEAREST: Final = 3
_FORMATS: Final = ("gguf", "mlx", "exl3", "exl2", "safetensors")
_SUFFIXES: Final = frozenset(
    {"gguf", "mlx", "exl2", "exl3", "4bit", "8bit", "6bit", "5bit", "3bit", "bf16", "fp16", "f16"}
)
_NEWEST: Final = "latest"
_SEPARATORS: Final = re.compile(r"[-_.\s]+")
_BORDERS: Final = re.compile(r"(?<=[a-z])(?=\d)|[-_\s]+")
_OF_ONE: Final = (ModelFileError, ModelNotFoundError, PermissionDeniedError, UnavailableError, UnreachableError)
"""What stands in the way of one repository: others that are called so may do."""


def variants_named(library: Library, ref: ModelRef) -> tuple[ModelVariant, ...]:
    """What a word means: of each format the most trusted repository that is called so, the best format first.

    Trusted first is who has made the model: the organisation of the most downloaded repository that is called exactly
    so; then whoever is fetched from most.

    Raises:
        ModelNotFoundError: nothing is called so; names what comes nearest.
        ModelFileError, PermissionDeniedError: what is called so is no model, or is gated.
        UnreachableError, UnavailableError: the hub does not answer.
    """
    word = ref.repository if ref.tag in {None, _NEWEST} else f"{ref.repository}-{ref.tag}"
    seen: dict[str, Found] = {}
    fitting: list[Found] = []
    for text in _searches(word):
        hits = library.search(text, _SEARCHED)
        seen.update({hit.repository: hit for hit in hits})
        fitting = _trusted_first([hit for hit in hits if _fits(hit, word)], word)
        if fitting:
            break
    found, why_not = _look_into(library, ref, fitting)
    if found:
        return tuple(found)
    if why_not is not None:
        raise why_not
    raise _unknown(library, word, ref, list(seen.values()))


def _look_into(
    library: Library, ref: ModelRef, fitting: Sequence[Found]
) -> tuple[list[ModelVariant], RbeeError | None]:
    found: dict[str, list[ModelVariant]] = {}
    why_not: RbeeError | None = None
    looked = 0
    for hit in fitting:
        guess = guessed_format(hit.tags, hit.library_name, hit.repository.partition("/")[2])
        if looked >= MOST_LOOKED_INTO or guess in found:
            continue
        looked += 1
        meant = ModelRef(kind="hub", repository=hit.repository, revision=ref.revision, quantization=ref.quantization)
        try:
            variants = variants_of(library, meant)
        except _OF_ONE as error:
            why_not = why_not or error
            continue
        for variant in variants:
            if all(one.revision == variant.revision for one in found.get(variant.format, [])):
                found.setdefault(variant.format, []).append(variant)
    return [variant for kind in _FORMATS for variant in found.get(kind, [])], why_not


def _searches(word: str) -> list[str]:
    """How the hub is asked for a word: as it is, and as publishers may write it."""
    parts = [part for part in _BORDERS.split(word.lower()) if part]
    return list(dict.fromkeys((word, "-".join(parts), " ".join(parts))))


def _normal(text: str) -> str:
    return _SEPARATORS.sub("", text.lower())


def _stripped(name: str, organisation: str) -> tuple[str, bool]:
    """A repository's name without what only tells its format, and whether there was any of it."""
    first, underscore, rest = name.partition("_")
    # Some who quantise put the name of the model's maker before it.
    bare = rest if underscore and first.lower() == organisation.lower() else name
    parts = re.split(r"([-_.\s]+)", bare)
    count = len(parts)
    while len(parts) > 1 and (parts[-1].lower() in _SUFFIXES or looks_like_quantization(parts[-1])):
        del parts[-2:]
    return _normal("".join(parts)), len(parts) < count or bare is not name


def _fits(hit: Found, word: str) -> bool:
    name = hit.repository.partition("/")[2]
    wanted = _normal(word)
    if wanted in {_normal(name), _stripped(name, "")[0]}:
        return True
    maker, underscore, _ = name.partition("_")
    return bool(underscore) and _stripped(name, maker)[0] == wanted


def _trusted_first(fitting: list[Found], word: str) -> list[Found]:
    wanted = _normal(word)
    by_downloads = sorted(fitting, key=lambda hit: (-(hit.downloads or 0), hit.repository))
    plain = next((hit for hit in by_downloads if _normal(hit.repository.partition("/")[2]) == wanted), None)
    maker = None if plain is None else plain.repository.partition("/")[0]
    return sorted(by_downloads, key=lambda hit: hit.repository.partition("/")[0] != maker)


def _unknown(library: Library, word: str, ref: ModelRef, seen: Sequence[Found]) -> ModelNotFoundError:
    hits = list(seen)
    if not hits:
        first = _searches(word)[-1].split()[:1]
        hits = list(library.search(first[0], _SEARCHED)) if first else []
    names = {_normal(hit.repository.partition("/")[2]): hit.repository for hit in reversed(hits)}
    near = difflib.get_close_matches(_normal(word), names, n=_NEAREST, cutoff=0.5)
    meant = [names[one] for one in near] or [hit.repository for hit in hits[:_NEAREST]]
    shown = word if ref.tag in {None, _NEWEST} else f"{ref.repository}:{ref.tag}"
    ending = f" Did you mean {' or '.join(repr(one) for one in meant)}?" if meant else " Name it as 'org/repo'."
    return ModelNotFoundError(f"The hub has no model called '{shown}'.{ending}")


def formats_of(hit: Found) -> tuple[str, ...]:
    """Formats that a search's hit seems to have."""
    name = hit.repository.partition("/")[2]
    first = guessed_format(hit.tags, hit.library_name, name)
    more = {"gguf", "mlx"} & {tag.lower() for tag in hit.tags}
    return tuple(kind for kind in _FORMATS if kind == first or kind in more)


def with_formats(hits: Sequence[Found]) -> list[Found]:
    """Hits that may hold a model that an engine opens."""
    return [hit for hit in hits if formats_of(hit)]
