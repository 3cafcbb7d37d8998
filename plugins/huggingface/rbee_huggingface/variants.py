"""From a repository to what can be fetched of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import msgspec
from rbee.contract import Capability, ModelFile, ModelVariant
from rbee.contract.errors import ModelFileError, ModelNotFoundError, PermissionDeniedError, RbeeError
from rbee.contract.model_refs import ModelRef, looks_like_quantization, quantization_in

from rbee_huggingface.folders import SUFFIX, FolderModel, guessed_format, model_in
from rbee_huggingface.ggufs import Gguf, model_with, models_of, whole
from rbee_huggingface.grammar import SCHEME
from rbee_huggingface.listing import Found, Library, Listing
from rbee_huggingface.quantizations import bits_rank
from rbee_huggingface.stems import Ggufs, ggufs_of

VENDOR: Final = "huggingface"
MOST_BRANCHES: Final = 6
"""Of quantisations in branches, looked into where nobody names one."""

_MOST_SHOWN: Final = 24
_MOST_MEANT: Final = 3
_SEARCHED: Final = 30
_LONGEST_CONTEXT: Final = 1 << 31
_CHAT: Final = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS})
_MADE_FOR: Final = MappingProxyType(
    {
        "feature-extraction": frozenset({Capability.EMBEDDINGS}),
        "sentence-similarity": frozenset({Capability.EMBEDDINGS}),
        "text-ranking": frozenset({Capability.RERANK}),
    }
)
"""By the hub's pipeline tag."""
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def variants_of(library: Library, ref: ModelRef) -> tuple[ModelVariant, ...]:
    """What a repository's name means, best first.

    Raises:
        ModelNotFoundError: the repository, the revision, the file or the quantisation is not there.
        ModelFileError: it holds no model that an engine opens.
        PermissionDeniedError: it is gated and has to be looked into.
        UnreachableError, UnavailableError: the hub does not answer.
    """
    listing = library.listing(ref.repository, ref.revision)
    if ref.file is not None:
        return (_named(library, listing, ref.file),)
    ggufs = ggufs_of(listing)
    found = _whole_repository(library, listing, ggufs)
    if ref.revision is None and _in_branches(listing, found):
        found += _branches(library, listing.repository, ref.quantization)
    if ref.quantization is None:
        if not found:
            raise _no_model(library, listing)
        return tuple(found)
    chosen = [one for one in found if one.quantization == ref.quantization]
    if not chosen:
        chosen = [one for one in found if (one.quantization or "").removeprefix("UD-") == ref.quantization]
    if sum(one.format == "gguf" for one in chosen) > 1:
        raise _ambiguous(listing, ref.quantization, [one.files[0].name for one in chosen if one.format == "gguf"])
    if not chosen:
        beside = [one.name for one in ggufs.beside if one.quantization == ref.quantization]
        if beside:
            raise _ambiguous(listing, ref.quantization, beside)
        raise _not_there(listing, ref.quantization, found) if found else _no_model(library, listing)
    return tuple(chosen)


def _whole_repository(library: Library, listing: Listing, ggufs: Ggufs) -> list[ModelVariant]:
    found = [_gguf(listing, ggufs, model) for model in ggufs.own]
    try:
        folder = model_in(library, listing)
    except (ModelFileError, PermissionDeniedError):
        if not found:
            raise
        folder = None
    if folder is not None:
        # The repository's plain name means the first, so that this one needs another where both are there.
        found.append(_folder(listing, folder, plain=not ggufs.own))
    return found


def _named(library: Library, listing: Listing, wanted: str) -> ModelVariant:
    """The model that a file is of."""
    name = wanted
    if name not in listing.files:
        # A file is often named without the folder it lies in.
        inner = [path for path in listing.files if path.rpartition("/")[2] == wanted]
        if len(inner) != 1:
            raise ModelNotFoundError(
                f"'{listing.repository}' has no file '{wanted}'. It has {_shown(_interesting(listing))}."
            )
        name = inner[0]
    if name.endswith(SUFFIX):
        folder = model_in(library, listing)
        if folder is not None and any(file.name == name for file in folder.files):
            return _folder(listing, folder, plain=not ggufs_of(listing).own)
        raise ModelFileError(f"'{name}' of '{listing.repository}' is no model by itself; name the repository.")
    if name.lower().endswith(_PICKLES):
        raise _pickles(library, listing, name)
    return _gguf(listing, ggufs_of(listing), whole(listing, model_with(listing, name)))


def _in_branches(listing: Listing, found: Sequence[ModelVariant]) -> bool:
    """Whether the repository may keep quantisations in branches."""
    if any(one.format.startswith("exl") for one in found):
        return True
    name = listing.repository.partition("/")[2]
    kind = guessed_format(listing.tags, listing.library_name, name)
    return kind in {"exl2", "exl3"} or (
        not found and not any(name.lower().endswith(_PICKLES) for name in listing.files)
    )


def _branches(library: Library, repository: str, wanted: str | None) -> list[ModelVariant]:
    named = {branch: word for branch in library.branches(repository) if (word := quantization_in(branch))}
    branches = sorted(named, key=lambda branch: (bits_rank(named[branch]), branch))
    if wanted is not None:
        branches = [branch for branch in branches if wanted in {named[branch], looks_like_quantization(branch)}]
    found: list[ModelVariant] = []
    for branch in branches[:MOST_BRANCHES]:
        listing = library.listing(repository, branch)
        model = model_in(library, listing)
        if model is not None:
            variant = _folder(listing, model, plain=True)
            # What the branch is called is what people ask for; its configuration may tell the average.
            found.append(msgspec.structs.replace(variant, quantization=named[branch]))
    return found


def _gguf(listing: Listing, ggufs: Ggufs, model: Gguf) -> ModelVariant:
    ref = ModelRef(kind="hub", repository=listing.repository, revision=listing.revision)
    word = ggufs.word_of(model)
    ref = msgspec.structs.replace(ref, **({"file": model.name} if word is None else {"quantization": word}))
    length = listing.gguf.get("context_length")
    # The hub has looked into one file, and does not say into which.
    known = not ggufs.beside and type(length) is int and 0 < length < _LONGEST_CONTEXT
    return _variant(listing, ref, "gguf", model.files, model.quantization, length if known else None)


def _folder(listing: Listing, model: FolderModel, *, plain: bool) -> ModelVariant:
    ref = ModelRef(kind="hub", repository=listing.repository, revision=listing.revision)
    if not plain:
        ref = msgspec.structs.replace(ref, file=model.files[0].name)
    length = None if model.figures is None else model.figures.context_length
    variant = _variant(listing, ref, model.format, model.files, model.quantization, length)
    return msgspec.structs.replace(variant, figures=model.figures)


def _variant(
    listing: Listing,
    ref: ModelRef,
    kind: str,
    files: tuple[ModelFile, ...],
    quantization: str | None,
    context_length: int | None,
) -> ModelVariant:
    canonical = ref.canonical(SCHEME)
    return ModelVariant(
        model_id=canonical,
        name=canonical.removeprefix(f"{SCHEME}:").replace("::", ":"),
        vendor=VENDOR,
        format=kind,
        files=files,
        quantization=quantization,
        revision=listing.commit,
        context_length=context_length,
        capabilities=_MADE_FOR.get(listing.pipeline_tag or "", _CHAT),
    )


def _ambiguous(listing: Listing, wanted: str, files: Sequence[str]) -> ModelNotFoundError:
    """The error where a quantisation is not enough: of models beside the repository's own it never is."""
    count = "another model" if len(files) == 1 else f"{len(files)} models"
    names = ", ".join(f"'{SCHEME}:{listing.repository}::{name}'" for name in files[:_MOST_SHOWN])
    return ModelNotFoundError(f"'{listing.repository}' has {count} of {wanted}; name the file that you mean: {names}.")


def _not_there(listing: Listing, wanted: str, found: Sequence[ModelVariant]) -> ModelNotFoundError:
    words = dict.fromkeys(one.quantization or one.files[0].name for one in found)
    return ModelNotFoundError(f"'{listing.repository}' has no {wanted}. It has {_shown(list(words))}.")


def _no_model(library: Library, listing: Listing) -> ModelFileError:
    pickles = [name for name in listing.files if name.lower().endswith(_PICKLES)]
    if pickles:
        return _pickles(library, listing, pickles[0])
    broken = [model for model in models_of(listing) if model.missing is not None]
    if broken:
        return ModelFileError(
            f"'{listing.repository}' lacks '{broken[0].missing}', a part of its model; take another repository."
        )
    return ModelFileError(
        f"'{listing.repository}' holds no model: GGUF files, or config.json with *.safetensors (plain, MLX, EXL2, "
        "EXL3), are looked for. Take another repository."
    )


def _pickles(library: Library, listing: Listing, name: str) -> ModelFileError:
    word = listing.repository.partition("/")[2]
    hits: Sequence[Found] = ()
    with contextlib.suppress(RbeeError):
        hits = library.search(word, _SEARCHED)
    better = [hit for hit in hits if guessed_format(hit.tags, hit.library_name, hit.repository.partition("/")[2])]
    names = " or ".join(f"'{hit.repository}'" for hit in better[:_MOST_MEANT] if hit.repository != listing.repository)
    instead = names or f"a repository with GGUF or safetensors files: 'rbee model search {word}' finds some"
    return ModelFileError(
        f"'{listing.repository}' has '{name}', a Python pickle, which can run any code when it is opened; refused. "
        f"Take {instead}."
    )


def _interesting(listing: Listing) -> list[str]:
    models = [model.name for model in models_of(listing)]
    return models or sorted(name for name in listing.files if name.endswith(SUFFIX)) or sorted(listing.files)


def _shown(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_SHOWN} more" if len(words) > _MOST_SHOWN else ""
    return ", ".join(words[:_MOST_SHOWN]) + more if words else "nothing"
