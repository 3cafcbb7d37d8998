"""The vendor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelHit, ModelVariant
from rbee.contract.errors import ModelFileError, ModelNotFoundError, RbeeError
from rbee.contract.model_refs import ModelRef

from rbee_huggingface.cache import HubCache, held
from rbee_huggingface.environment import offline
from rbee_huggingface.grammar import hub_ref
from rbee_huggingface.line import address_of
from rbee_huggingface.listing import Found, Library
from rbee_huggingface.names import formats_of, variants_named, with_formats
from rbee_huggingface.online import DEFAULT_BRANCH, MOST_FOUND, OnlineHub
from rbee_huggingface.refusals import forbidden, refusal_of
from rbee_huggingface.tokens import authorization
from rbee_huggingface.variants import VENDOR, variants_of

_WIDER: Final = 3
_OURS: Final = frozenset(
    {None, "text-generation", "image-text-to-text", "any-to-any", "feature-extraction", "sentence-similarity"}
)
"""What models are for that engines of this kind can be asked about."""


class HuggingFaceVendor(HttpModelVendor):
    """Repositories of the Hugging Face hub, or of another that speaks as it does (``HF_ENDPOINT``)."""

    name = VENDOR
    names_anything = True

    def supports(self, ref: str) -> bool:
        """True for ``org/repo...``, ``hf:...``, ``hf.co/...``, addresses of the hub's pages, and single words."""
        return hub_ref(ref) is not None

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """What a name means, best first.

        Raises:
            ModelNotFoundError: there is no such repository, revision, file or quantisation, or none called so.
            ModelFileError: it holds no model that an engine opens.
            PermissionDeniedError: it is gated and has to be looked into.
            UnreachableError: the hub does not answer, or must not be asked.
            UnavailableError: it has no time.
            ConfigurationError: a variable of the environment is wrong.
            PluginError: the hub's library is missing.
        """
        asked = hub_ref(ref)
        if asked is None:
            raise ModelNotFoundError(f"'{ref[:200]}' is no name of the hub's; write it as 'hf:org/repo'.")
        variable = offline()
        if variable is None:
            return _variants(OnlineHub(), asked)
        try:
            return _variants(HubCache(), asked)
        except (ModelNotFoundError, ModelFileError) as error:
            # What is not here, or not whole, may well be there.
            raise forbidden(variable, f"'{ref[:200]}'") from error

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        """Where the hub has a file, with the token for it.

        Raises:
            UnreachableError: no request may be made.
            ConfigurationError: a variable of the environment is wrong.
            PluginError: the hub's library is missing.
        """
        if (variable := offline()) is not None:
            raise forbidden(variable, f"'{file.name}' of '{variant.name}'")
        url = address_of(_repository(variant), variant.revision or DEFAULT_BRANCH, file.name)
        return FileSource(url=url, headers=authorization())

    def refusal(self, variant: ModelVariant, file: ModelFile, status: int, headers: Mapping[str, str]) -> RbeeError:
        """As the hub means it, by ``X-Error-Code``."""
        repository = _repository(variant)
        return refusal_of(repository, f"file '{file.name}' of '{repository}'", status, headers)

    def held(self, variant: ModelVariant, file: ModelFile) -> Path | None:
        """The copy in the cache of the hub's library."""
        return held(_repository(variant), variant.revision, file)

    def search(self, text: str, limit: int) -> Sequence[ModelHit]:
        """Repositories whose names hold a text and that seem to have a model, the most downloaded first.

        Raises:
            UnreachableError: the hub does not answer, or must not be asked.
            UnavailableError: it has no time.
        """
        if limit < 1 or not text.strip():
            return ()
        if (variable := offline()) is not None:
            raise forbidden(variable, f"what a search for '{text[:100]}' would find")
        found = OnlineHub().search(text.strip(), min(MOST_FOUND, _WIDER * limit))
        ours = [hit for hit in with_formats(found) if hit.pipeline_tag in _OURS]
        return [_hit(hit) for hit in ours[:limit]]


def _variants(library: Library, ref: ModelRef) -> Sequence[ModelVariant]:
    return variants_named(library, ref) if ref.kind == "name" else variants_of(library, ref)


def _repository(variant: ModelVariant) -> str:
    ref = hub_ref(variant.model_id)
    if ref is None or ref.kind != "hub":
        raise ModelNotFoundError(f"'{variant.model_id[:200]}' is no canonical name of vendor '{VENDOR}'.")
    return ref.repository


def _hit(hit: Found) -> ModelHit:
    licences = sorted(tag.removeprefix("license:") for tag in hit.tags if tag.startswith("license:"))
    words = [word for word in (hit.pipeline_tag, *licences[:1]) if word]
    return ModelHit(
        name=hit.repository,
        vendor=VENDOR,
        formats=formats_of(hit),
        downloads=hit.downloads,
        likes=hit.likes,
        updated_at=hit.updated_at,
        gated=hit.gated,
        summary=", ".join(words) or None,
    )
