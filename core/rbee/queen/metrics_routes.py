"""``GET /metrics``."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import MediaType, Request, Response, get

from rbee.queen.service import QueenService


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(service: QueenService, request: Request[Any, Any, Any]) -> Response[bytes]:
    """The gateway and the colony in figures, for Prometheus."""
    snapshot = service.metrics.snapshot()
    # Thousands of lines take longer to write than a token may be held up.
    body, content_type = await asyncio.to_thread(_encoded, snapshot, request.headers.get("accept"))
    # As a header: Litestar would add a charset to a type that names one.
    return Response(body, headers={"content-type": content_type})


def _encoded(snapshot: Any, accept: str | None) -> tuple[bytes, str]:
    from rbee.observability.collected import encode

    return encode(snapshot, accept)


METRICS_ROUTES = (metrics,)
