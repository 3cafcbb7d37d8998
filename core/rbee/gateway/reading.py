"""A request's traits, read from its head and its body."""

from __future__ import annotations

import zlib
from types import MappingProxyType

import msgspec

from rbee.contract.durations import keep_alive_s
from rbee.contract.errors import InvalidRequestError
from rbee.gateway.body import NOT_TOLD, RoutingFields
from rbee.gateway.message import ClientHead
from rbee.gateway.traits import Traits

_BLOCK = 512
"""Bytes of a block: about a hundred tokens."""

_BLOCKS = 128
"""Blocks that are looked at, from the beginning."""

_BYTES_A_TOKEN = 4
"""Of English text and code, roughly."""

_LANES = MappingProxyType({b"interactive": False, b"batch": True})
_FLEX = b'"flex"'
_PROMPTS = (b'"messages"', b'"prompt"', b'"input"')
_SESSION_LENGTH = 256
_INTEGER = msgspec.json.Decoder(int)
_STRING = msgspec.json.Decoder(str)


def traits_of(head: ClientHead, fields: RoutingFields, body: bytes) -> Traits:
    """The traits of a request.

    What clients of OpenAI say of the same matters counts as well: ``prompt_cache_key`` for the session, and
    ``service_tier`` ``flex`` for one that may wait.

    Raises:
        InvalidRequestError: a header has no meaning; names it.
    """
    start = _prompt_at(body)
    length = 0 if start is None else len(body) - start
    return Traits(
        key=head.key,
        batch=_batch(head, fields),
        session=_session(head, fields),
        prompt_tokens=None if start is None else length // _BYTES_A_TOKEN,
        max_tokens=_max_tokens(fields),
        keep_alive_s=None if head.keep_alive is None else _keep_alive(head.keep_alive),
        blocks=() if start is None or length < _BLOCK else _blocks(body, start),
    )


def _prompt_at(body: bytes) -> int | None:
    for name in _PROMPTS:
        at = body.find(name)
        if at >= 0:
            return at
    return None


def _blocks(body: bytes, start: int) -> tuple[int, ...]:
    found = []
    chained = 0
    for at in range(start, min(len(body) - _BLOCK + 1, start + _BLOCKS * _BLOCK), _BLOCK):
        chained = zlib.crc32(body[at : at + _BLOCK], chained)
        found.append(chained)
    return tuple(found)


def _batch(head: ClientHead, fields: RoutingFields) -> bool:
    if head.priority is None:
        return fields.service_tier is not NOT_TOLD and bytes(fields.service_tier) == _FLEX
    lane = _LANES.get(head.priority.strip().lower())
    if lane is None:
        raise InvalidRequestError(
            f"X-RBEE-Priority {head.priority.decode('latin-1')!r} is neither 'interactive' nor 'batch'."
        )
    return lane


def _session(head: ClientHead, fields: RoutingFields) -> str | None:
    if head.session is not None:
        return head.session[:_SESSION_LENGTH].decode("latin-1") or None
    if fields.prompt_cache_key is NOT_TOLD:
        return None
    try:
        return _STRING.decode(fields.prompt_cache_key)[:_SESSION_LENGTH] or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Null, or for the worker to refuse.
        return None


def _max_tokens(fields: RoutingFields) -> int | None:
    for told in (fields.max_completion_tokens, fields.max_tokens):
        if told is not NOT_TOLD:
            try:
                return max(0, _INTEGER.decode(told))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
    return None


def _keep_alive(value: bytes) -> float:
    try:
        return keep_alive_s(value.decode("latin-1"))
    except ValueError as error:
        raise InvalidRequestError(f"X-RBEE-Keep-Alive: {error}") from error
