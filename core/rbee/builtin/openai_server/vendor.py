"""The models of servers that somebody runs already, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rbee.builtin.openai_server.connection import NAME, Connection, ServedModel
from rbee.builtin.openai_server.store import Connections
from rbee.contract.errors import ConfigurationError, ModelNotFoundError, NotFoundError
from rbee.contract.types import Capability, ModelVariant
from rbee.contract.vendor import CancelToken, FetchProgress, ModelVendor

FORMAT = "openai"
"""Word for a model that has no files here."""


class OpenAIServerVendor(ModelVendor):
    """``openai:SERVER/MODEL``, or ``openai:SERVER`` for the server's first model."""

    name = "openai"

    def supports(self, ref: str) -> bool:
        scheme, colon, rest = ref.partition(":")
        server, slash, model = rest.partition("/")
        return bool(scheme == self.name and colon and NAME.match(server) and (model or not slash))

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        server, slash, model = ref.partition(":")[2].partition("/")
        try:
            connection = Connections.here().get(server)
        except NotFoundError as error:
            raise ModelNotFoundError(f"{ref!r} names no model: {error.message}") from error
        if not slash:
            if not connection.models:
                raise ModelNotFoundError(f"The server {server!r} has no models. Look again: {_again(connection)}")
            return tuple(_variant(connection, one) for one in connection.models[:1])
        found = connection.model(model)
        if found is None:
            has = ", ".join(one.id for one in connection.models[:10]) or "none"
            raise ModelNotFoundError(
                f"The server {server!r} has no model {model!r}. It has: {has}. If it is new there: {_again(connection)}"
            )
        return (_variant(connection, found),)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        cancel.raise_if_cancelled()
        progress(0, 0)
        cancel.raise_if_cancelled()

    def known(self) -> Sequence[ModelVariant]:
        try:
            connections = Connections.here().all()
        except ConfigurationError:
            # Whoever names one of them is told; a list of everything is no place for it.
            return ()
        return tuple(_variant(connection, one) for connection in connections for one in connection.models)


def split(model_id: str) -> tuple[str, str]:
    """Server and model of a canonical name."""
    server, _, model = model_id.partition(":")[2].partition("/")
    return server, model


def _again(connection: Connection) -> str:
    return f"rbee server add {connection.name} {connection.url} --replace"


def _variant(connection: Connection, model: ServedModel) -> ModelVariant:
    made_for = {Capability.EMBEDDINGS} if model.embeddings else {Capability.CHAT, Capability.COMPLETIONS}
    model_id = f"openai:{connection.name}/{model.id}"
    return ModelVariant(
        model_id=model_id,
        name=model_id,
        vendor=OpenAIServerVendor.name,
        format=FORMAT,
        context_length=model.context_length,
        capabilities=frozenset(made_for),
    )
