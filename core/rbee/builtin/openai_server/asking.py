"""One question to a server: which models it serves.  Bounded in time and size; redirects are not followed."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rbee.builtin.openai_server.connection import Connection, ServedModel
from rbee.contract.errors import EngineUnavailableError

PATIENCE_S = 10.0
_LARGEST = 8 * 1024 * 1024
_READ_BYTES = 64 * 1024
KEY_REFUSED = 401
"""Status of a server that does not accept the key, or wants one."""

_REFUSED = frozenset({KEY_REFUSED, 403})


class BusyServerError(EngineUnavailableError):
    """It answers, and wants to be asked less often."""


def served(connection: Connection, *, within_s: float = PATIENCE_S) -> Sequence[ServedModel]:
    """The models that a server lists, with the lengths of their contexts where it tells them.

    Lengths stand where vLLM, llama-server, OpenRouter and rbee write them.

    Args:
        connection: whom to ask.
        within_s: time for a connection, for each piece of the answer, and for all of its body.

    Raises:
        EngineUnavailableError: it does not answer, refuses the key, or lists no models; the message says what to do.
        BusyServerError: it limits how often it is asked.
    """
    told = _get(connection, "/models", within_s)
    found = told.get("data") if isinstance(told, dict) else None
    if not isinstance(found, list):
        raise EngineUnavailableError(
            f"{connection.url!r} answers, and lists no models at {connection.url}/models; is it the base of its API?"
        )
    return tuple(
        ServedModel(id=one["id"], context_length=_context_of(one))
        for one in found
        if isinstance(one, dict) and isinstance(one.get("id"), str) and one["id"]
    )


def queen_behind(connection: Connection, *, within_s: float = PATIENCE_S) -> str | None:
    """The `instance_id` of the queen that a server is; None for any other server.  No key is sent.

    Args:
        connection: whom to ask.
        within_s: as in `served`.
    """
    path = urlsplit(connection.url).path
    root = connection.url[: len(connection.url) - len(path)] + path.removesuffix("/v1").removesuffix("/openai")
    try:
        told = _get(Connection(name=connection.name, url=root), "/health", within_s)
    except EngineUnavailableError:
        return None
    if not isinstance(told, dict) or told.get("program") != "queen" or not isinstance(told.get("instance_id"), str):
        return None
    return str(told["instance_id"])


def _context_of(card: dict[str, Any]) -> int | None:
    meta = card.get("meta")
    places = (
        card.get("max_model_len"),
        card.get("context_length"),
        meta.get("n_ctx") if isinstance(meta, dict) else None,
    )
    return next((one for one in places if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)


def _get(connection: Connection, route: str, within_s: float) -> Any:
    parts = urlsplit(connection.url)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {connection.key}"} if connection.key else {})
    try:
        with closing(_line(parts.scheme, parts.hostname or "", parts.port, within_s)) as line:
            line.request("GET", parts.path + route, headers=headers)
            response = line.getresponse()
            body = _body(response, time.monotonic() + within_s)
    except (OSError, http.client.HTTPException) as error:
        raise EngineUnavailableError(
            f"The server {connection.name!r} at {connection.url} does not answer: {_words(error)}. Is it running?"
        ) from error
    if response.status in _REFUSED:
        what = "its key" if connection.key else "to answer without a key"
        raise EngineUnavailableError(
            f"The server {connection.name!r} at {connection.url} refuses {what} ({response.status}). "
            f"Give it the right one: rbee server add {connection.name} {connection.url} --replace --key-stdin"
        )
    if response.status == http.HTTPStatus.TOO_MANY_REQUESTS:
        raise BusyServerError(
            f"The server {connection.name!r} at {connection.url} is asked too often ({response.status}). "
            "Try again in a while."
        )
    if response.status != http.HTTPStatus.OK:
        raise EngineUnavailableError(
            f"The server {connection.name!r} answers {response.status} at {connection.url}{route}; "
            "is that the base of its API?"
        )
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise EngineUnavailableError(
            f"The server {connection.name!r} at {connection.url} does not answer in JSON; is that the base of its API?"
        ) from None


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body, as far as it is not too long: a server that sends a byte now and then keeps nobody for ever.

    Raises:
        TimeoutError: it was not through in time.
    """
    body = b""
    while len(body) < _LARGEST and (piece := response.read1(_READ_BYTES)):
        body += piece
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return body


def _line(scheme: str, host: str, port: int | None, within_s: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=within_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=within_s)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE can name one that is"
    return str(error) or type(error).__name__
