"""A request as the dispatcher takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from rbee.contract.types import Capability
from rbee.gateway import NO_TRAITS, Queued, Route, Traits
from rbee.queen.demand import Tell
from rbee.scheduler import Wish

_CAPABILITY: Mapping[str, Capability] = MappingProxyType(
    {
        "/v1/chat/completions": Capability.CHAT,
        "/v1/completions": Capability.COMPLETIONS,
        "/v1/embeddings": Capability.EMBEDDINGS,
        "/v1/rerank": Capability.RERANK,
    }
)
_CHAT = "/v1/chat/completions"
_ANYBODY = Wish()
_WISHES: Mapping[str, Wish] = MappingProxyType({path: Wish(capability=one) for path, one in _CAPABILITY.items()})
_CONTINUES = Wish(capability=Capability.CONTINUATION)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the dispatcher takes it.

    Attributes:
        model: as the caller named it.
        capability: what is needed of the worker.
        hive_id: only there, when given.
        device: only on that device, when given.
        worker_id: only that worker, when given.
        tell: given the events of a load.
        keep: see `Demand.ensure`.
        trusted: the caller has the colony's token.
        tried: workers that others are preferred to.
        on_wait: told the place in the queue when the request begins to wait for a slot, and when that has changed.
        traits: what else may decide among workers.
        request_id: by which the decision can be asked for; empty for none.
    """

    model: str
    capability: Capability | None = None
    hive_id: str | None = None
    device: str | None = None
    worker_id: str | None = None
    tell: Tell | None = None
    keep: bool = True
    trusted: bool = False
    tried: frozenset[str] = frozenset()
    on_wait: Callable[[Queued], None] | None = None
    traits: Traits = NO_TRAITS
    request_id: str = ""


def continues(route: Route) -> bool:
    """Whether a worker has to take up an answer that another one has begun."""
    return route.continues and route.path == _CHAT


def wish_of(route: Route) -> Wish:
    """What is asked of a worker."""
    return _CONTINUES if continues(route) else _WISHES.get(route.path, _ANYBODY)


def wanted_by(route: Route) -> Wanted:
    """What a request through the gateway wants."""
    return Wanted(
        model=route.model,
        capability=Capability.CONTINUATION if continues(route) else _CAPABILITY.get(route.path),
        trusted=route.trusted,
        tried=route.tried,
        on_wait=route.on_wait,
        traits=route.traits,
        request_id=route.request_id,
    )
