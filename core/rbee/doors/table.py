"""Which door is at which route."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rbee.doors.anthropic import CountTokens, Messages
from rbee.doors.models import ModelList
from rbee.doors.ollama import Chat, Embed, Embeddings, Generate, Running, Show, Tags, Version
from rbee.doors.responses import Responses
from rbee.doors.serving import Door, TranslatingDoor
from rbee.gateway.calls import Calls

MAX_BODY = 32 * 1024 * 1024

DOOR_ROUTES = frozenset(
    {
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/api/chat"),
        ("POST", "/api/generate"),
        ("POST", "/api/embed"),
        ("POST", "/api/embeddings"),
        ("POST", "/api/show"),
        ("GET", "/api/tags"),
        ("GET", "/api/ps"),
        ("GET", "/api/version"),
    }
)
"""Method and path of every door."""


def make_stateless_doors(calls: Calls, max_body: int = MAX_BODY) -> Mapping[tuple[str, str], Door]:
    """Those doors by their method and path that need to know of no model or worker.

    Args:
        calls: the gateway.
        max_body: bytes a request may have.
    """
    translations = {
        "/v1/responses": Responses(),
        "/v1/messages": Messages(),
        "/v1/messages/count_tokens": CountTokens(),
    }
    return MappingProxyType(
        {("POST", path): TranslatingDoor(calls, translation, max_body) for path, translation in translations.items()}
    )


def make_doors(calls: Calls, models: ModelList, max_body: int = MAX_BODY) -> Mapping[tuple[str, str], Door]:
    """Every door by its method and path.

    Args:
        calls: the gateway, for those that ask a model.
        models: the colony's, for those that list.
        max_body: bytes a request may have.
    """
    translations = {
        "/api/chat": Chat(models),
        "/api/generate": Generate(models),
        "/api/embed": Embed(models),
        "/api/embeddings": Embeddings(models),
    }
    doors = dict(make_stateless_doors(calls, max_body))
    for path, translation in translations.items():
        doors["POST", path] = TranslatingDoor(calls, translation, max_body)
    doors["POST", "/api/show"] = Show(models)
    doors["GET", "/api/tags"] = Tags(models)
    doors["GET", "/api/ps"] = Running(models)
    doors["GET", "/api/version"] = Version(models)
    return MappingProxyType(doors)
