"""A server that somebody runs already: where it is, and what it serves."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from rbee.contract.errors import InvalidRequestError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")
_SCHEMES = frozenset({"http", "https"})
_LONGEST_URL = 2048


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of a server.

    Attributes:
        id: what the server calls it.
        context_length: tokens of prompt and answer; None where the server does not tell.
        embeddings: it is made for embeddings, and for nothing else.
    """

    id: str
    context_length: int | None = None
    embeddings: bool = False


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a server.

    Attributes:
        name: what it is called here.
        url: base of its routes, as OpenAI's clients take it: ``https://host/v1``.
        key: sent as a bearer token; None for none.  Never shown.
        models: that it serves.
        slots: requests that it is given at the same time; None for as many as any worker.
    """

    name: str
    url: str
    key: str | None = None
    models: tuple[ServedModel, ...] = ()
    slots: int | None = None

    def __repr__(self) -> str:
        """Without the key: such values end up in logs."""
        return f"Connection(name={self.name!r}, url={self.url!r}, key={'set' if self.key else None})"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def prefix(self) -> str:
        """Path that stands before the names of routes."""
        return urlsplit(self.url).path

    def model(self, name: str) -> ServedModel | None:
        """One of its models; None when it has no such model."""
        return next((one for one in self.models if one.id == name), None)


def checked_name(name: str) -> str:
    """A name for a connection.

    Raises:
        InvalidRequestError: it is none.
    """
    if not NAME.match(name):
        raise InvalidRequestError(
            f"{name!r} is no name for a server; take lower-case letters, digits, '.', '_' and '-', 64 at most.",
            param="name",
        )
    return name


def base_url(text: str) -> str:
    """The base of a server's routes, from what a person has typed.

    An address without a path gets ``/v1``, where nearly every server has its routes.

    Raises:
        InvalidRequestError: it is no such address, or says more than where the server is.
    """
    if len(text) > _LONGEST_URL or not text.isascii() or any(character.isspace() for character in text):
        raise InvalidRequestError("The address of a server is printable ASCII, without spaces.", param="url")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is no address: {error}.", param="url") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0:
        raise InvalidRequestError(
            f"{text!r} is no server's address; give it as https://HOST/v1 or http://HOST:PORT/v1.", param="url"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidRequestError(
            "An address with a name or a password in it is not taken; give the key with --key-file or --key-stdin.",
            param="url",
        )
    if parts.query or parts.fragment:
        raise InvalidRequestError(
            f"{text!r} says more than where the server is; leave out what follows the path.", param="url"
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path or '/v1'}"


def checked_key(text: str) -> str:
    """A key as it is sent.

    Raises:
        InvalidRequestError: there is none, or it cannot stand in a header.
    """
    key = text.strip()
    if not key:
        raise InvalidRequestError(
            "The key is empty. For a server that asks for none leave --key-stdin and --key-file out; --no-key with "
            "--replace forgets the one that it had.",
            param="key",
        )
    if not key.isascii() or not key.isprintable() or len(key) > 4096:
        raise InvalidRequestError(
            "The key has characters that cannot be sent; it is one line of printable ASCII.", param="key"
        )
    return key
