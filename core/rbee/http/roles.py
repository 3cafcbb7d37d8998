"""What programs of the colony may ask of one another, by their certificates: each its own routes, and no more.

The operator's token opens all of them; a certificate never opens what an operator does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from rbee.trust.names import Peer, Role

_Pair = tuple[Role, Role]

_ID = r"[^/]+"
_INFERENCE = r"POST /v1/(chat/completions|completions|embeddings|rerank)|POST /v1/infer|DELETE /v1/infer/.+"


def _routes(*routes: str) -> re.Pattern[str]:
    return re.compile("|".join(routes))


_MAY: Mapping[_Pair, re.Pattern[str]] = MappingProxyType(
    {
        (Role.QUEEN, Role.HIVE): _routes(
            r"POST /v1/queen/register-(hive|worker)",
            r"POST /v1/workers/(register|update)",
            rf"DELETE /v1/workers/{_ID}",
            r"POST /v1/hive-heartbeat",
            r"POST /v1/hive/ready",
            r"POST /v1/ca/(renew|worker)",
            r"GET /v1/info",
        ),
        (Role.QUEEN, Role.WORKER): _routes(
            r"POST /v1/queen/register-worker",
            r"POST /v1/workers/(register|update)",
            rf"DELETE /v1/workers/{_ID}",
            r"POST /v1/worker-heartbeat",
            r"POST /v1/ca/renew",
        ),
        (Role.QUEEN, Role.REGISTRY): _routes(r"POST /v1/ca/renew"),
        (Role.REGISTRY, Role.QUEEN): _routes(r".* /v1/registry/.+"),
        (Role.REGISTRY, Role.HIVE): _routes(r".* /v1/registry/(?!revoked).+"),
        (Role.REGISTRY, Role.WORKER): _routes(r"(POST|DELETE) /v1/registry/(register|heartbeat|unregister)"),
        # She decides what runs where; the operator's commands come through her.
        (Role.HIVE, Role.QUEEN): _routes(r".*"),
        (Role.HIVE, Role.HIVE): _routes(rf"GET /v1/catalog(/{_ID})?", rf"GET /v1/models/{_ID}/files/.+"),
        (Role.WORKER, Role.QUEEN): _routes(
            _INFERENCE, r"GET /(info|metrics|capabilities|v1/models)", r"(POST|DELETE) /v1/drain", r"POST /v1/colony"
        ),
        (Role.WORKER, Role.HIVE): _routes(
            r"GET /(info|metrics|capabilities)", r"(POST|DELETE) /v1/drain", r"POST /v1/(colony|shutdown)"
        ),
    }
)
"""By who is asked and who asks: method and path."""


def may(asked: Role, peer: Peer, method: str, path: str) -> bool:
    """Whether a program may ask something of another one.

    Args:
        asked: what the other one is.
        peer: who asks, by its certificate.
        method: of the request.
        path: of it, without the prefix of OpenAI's routes.
    """
    routes = _MAY.get((asked, peer.role))
    return routes is not None and routes.fullmatch(f"{method} {path}") is not None
