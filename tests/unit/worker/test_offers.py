"""What a worker offers."""

from __future__ import annotations

import pytest
from rbee.contract import Capability, ModelVariant
from rbee.contract.errors import InvalidRequestError
from rbee.worker.offers import check_offered, offered

ENGINE = {
    Capability.CHAT,
    Capability.COMPLETIONS,
    Capability.EMBEDDINGS,
    Capability.TOOLS,
    Capability.CONTINUATION,
    "a vendor's own",
}


def variant(*capabilities: Capability) -> ModelVariant:
    return ModelVariant(model_id="v:m", name="m", vendor="v", format="f", capabilities=frozenset(capabilities))


def test_a_model_that_converses_does_not_embed() -> None:
    chats = offered(ENGINE, variant(Capability.CHAT, Capability.COMPLETIONS))
    assert chats == ENGINE - {Capability.EMBEDDINGS}
    embeds = offered(ENGINE, variant(Capability.EMBEDDINGS))
    assert embeds == ENGINE - {Capability.CHAT, Capability.COMPLETIONS}


def test_no_model_makes_an_engine_do_what_it_cannot() -> None:
    assert Capability.RERANK not in offered(ENGINE, variant(Capability.RERANK))


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_what_is_not_offered_is_refused_with_what_is(path: str) -> None:
    with pytest.raises(InvalidRequestError, match=path.removeprefix("/v1/")) as caught:
        check_offered(path, {Capability.CHAT, Capability.TOOLS}, "v:m")
    assert caught.value.param == "model"
    assert "but chat;" in caught.value.message


def test_what_is_offered_passes_as_does_what_no_capability_stands_for() -> None:
    check_offered("/v1/chat/completions", {Capability.CHAT}, "v:m")
    check_offered("/v1/models", (), "v:m")
