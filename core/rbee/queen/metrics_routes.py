"""``GET /metrics``."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get

from rbee.queen.service import QueenService


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(service: QueenService, request: Request[Any, Any, Any]) -> Response[bytes]:
    """The gateway and the colony in figures, for Prometheus."""
    body, media_type = service.metrics.render(request.headers.get("accept"))
    if media_type.startswith("text/"):
        # Litestar says it itself, then.
        media_type = media_type.removesuffix("; charset=utf-8")
    return Response(body, media_type=media_type)


METRICS_ROUTES = (metrics,)
