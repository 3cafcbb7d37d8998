"""What every program's Litestar application has in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any

from litestar import Litestar, Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Stream

from rbee.contract.errors import (
    CancelledByCallerError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    RbeeError,
)
from rbee.http.errors import public_error, render
from rbee.http.openapi import Description, openapi_document
from rbee.http.sse import MEDIA_TYPE, with_pings

_CONTROL_BODY = 4 * 1024 * 1024
_NO_BODY = "'data'"
"""How Litestar tells that a handler wants a body and none came: by the name of its argument."""
_CLIENT_LEFT = "client disconnected prematurely"
"""How Litestar tells a client that left while it sent its body; there is no class for it."""


def build(
    handlers: Sequence[Any],
    service: Any,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
    *,
    title: str = "rbee",
    further: Mapping[str, Any] = MappingProxyType({}),
) -> Litestar:
    """An application over a service: handlers get it as their argument ``service``.

    Args:
        handlers: Litestar route handlers.
        service: knows no HTTP; shared by all requests.
        lifespan: entered at start, left at stop.
        title: the program's name, for the description of its routes.
        further: what is served beside the handlers, as `Description` takes it.
    """
    description = Description(title, (*handlers, openapi_document), further)

    async def provide_service() -> Any:
        return service

    async def provide_description() -> Description:
        return description

    from litestar.di import Provide

    return Litestar(
        route_handlers=[*handlers, openapi_document],
        dependencies={"service": Provide(provide_service), "description": Provide(provide_description)},
        exception_handlers={Exception: _on_exception},
        lifespan=list(lifespan),
        openapi_config=None,
        request_max_body_size=_CONTROL_BODY,
        logging_config=None,
    )


def event_stream(events: AsyncIterator[bytes]) -> Stream:
    """An endless answer of server-sent events, with a comment now and then when there are none."""
    stream = with_pings(events)
    return Stream(
        stream,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        # Litestar leaves its iterator as it is when the client goes away between two events.
        background=BackgroundTask(stream.aclose),
    )


def _on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    state = request.scope.get("state", {})
    told = _translate(request, error)
    answer = render(told, openai=bool(state.get("openai")), correlation_id=state.get("request_id"))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    kind = headers.pop("content-type")
    headers.pop("content-length")
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)


def _translate(request: Request[Any, Any, Any], error: Exception) -> RbeeError:
    where = f"{request.method} {request.url.path}"
    if isinstance(error, ValidationException):
        extra = error.extra if isinstance(error.extra, list) else []
        if any(isinstance(item, dict) and item.get("message") == _NO_BODY for item in extra):
            return InvalidRequestError(f"{where} needs a body: a JSON object.", param="body")
        problems = "; ".join(
            f"{item.get('key') or 'body'}: {item.get('message')}" for item in extra if isinstance(item, dict)
        )
        param = next((str(item["key"]) for item in extra if isinstance(item, dict) and item.get("key")), None)
        return InvalidRequestError(f"{where}: {problems or error.detail}.", param=param)
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFoundError(f"There is no route {where!r}.")
        if error.status_code == 405:
            return MethodNotAllowedError(f"{where}: this route is asked with another method.")
        if error.status_code == 413:
            return PayloadTooLargeError(f"{where}: the body has more than {_CONTROL_BODY} bytes.")
        if error.status_code < 500:
            return InvalidRequestError(f"{where}: {error.detail}.")
        if error.detail == _CLIENT_LEFT:
            return CancelledByCallerError("The client went away.")
    if isinstance(error, RecursionError):
        return InvalidRequestError(f"{where}: the body is nested too deeply.")
    return public_error(error, where=where)
