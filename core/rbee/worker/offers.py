"""What a worker offers: what its engine can do with the model that it has loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from rbee.contract.errors import InvalidRequestError
from rbee.contract.types import MODEL_CAPABILITIES, Capability, ModelVariant

_ROUTES: Mapping[str, Capability] = MappingProxyType(
    {
        "/v1/chat/completions": Capability.CHAT,
        "/v1/completions": Capability.COMPLETIONS,
        "/v1/embeddings": Capability.EMBEDDINGS,
        "/v1/rerank": Capability.RERANK,
    }
)


def offered(engine: Collection[str], variant: ModelVariant) -> frozenset[str]:
    """Capabilities of a worker.

    Args:
        engine: what the engine can do with models that are made for it.
        variant: the model.
    """
    return frozenset(one for one in engine if one not in MODEL_CAPABILITIES or one in variant.capabilities)


def check_offered(path: str, capabilities: Collection[str], model: str) -> None:
    """Let a request pass on a route that the worker serves.

    Args:
        path: OpenAI route without prefix.
        capabilities: of the worker.
        model: its canonical name.

    Raises:
        InvalidRequestError: the model, or its engine, does not do that.
    """
    wanted = _ROUTES.get(path)
    if wanted is not None and wanted not in capabilities:
        offers = ", ".join(sorted(MODEL_CAPABILITIES & frozenset(capabilities))) or "nothing of the kind"
        raise InvalidRequestError(
            f"{model!r} does not offer {wanted.value!r} here, but {offers}; ask for another model.", param="model"
        )
