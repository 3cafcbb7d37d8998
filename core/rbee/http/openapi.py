"""A program's routes as an OpenAPI document, made from its handlers when somebody asks for it.

Format: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from rbee.contract.version import __version__
from rbee.http.front import access_of, errs_as_openai
from rbee.http.guard import Access

PATH = "/v1/openapi.json"
_METHODS = ("get", "put", "post", "delete", "patch")
_ERRORS = (("4XX", "It was refused; the message says why."), ("5XX", "It failed here, or further on."))
_SECURITY: Mapping[Access, Sequence[Mapping[str, Sequence[str]]]] = MappingProxyType(
    {
        Access.OPEN: ({},),
        Access.INFERENCE: ({}, {"bearer": ()}, {"apiKey": ()}),
        Access.CONTROL: ({"bearer": ()}, {"apiKey": ()}),
    }
)
_SCHEMAS: Mapping[str, Any] = MappingProxyType(
    {
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "message", "details", "correlation_id"],
                    "properties": {
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                        "details": {"type": "object"},
                        "correlation_id": {"type": ["string", "null"]},
                    },
                }
            },
        },
        "OpenAiError": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": ["string", "null"]},
                        "details": {"type": "object"},
                    },
                }
            },
        },
    }
)


class Description:
    """What a program serves.

    Args:
        title: the program's name.
        handlers: its Litestar routes.
        further: paths that are served beside them, as OpenAPI describes paths; what they say themselves stays.
    """

    def __init__(self, title: str, handlers: Sequence[Any], further: Mapping[str, Any]) -> None:
        self._title = title
        # Litestar marks a router with the application it is in; each of its own needs a fresh one.
        self._handlers = copy.deepcopy([one for one in handlers if hasattr(one, "route_handlers")])
        self._handlers += [one for one in handlers if not hasattr(one, "route_handlers")]
        self._further = further
        self._document: bytes | None = None

    async def document(self) -> bytes:
        """As JSON; made once."""
        if self._document is None:
            self._document = await asyncio.to_thread(self._made)
        return self._document

    def _made(self) -> bytes:
        config = OpenAPIConfig(
            title=self._title,
            version=__version__,
            description="Shapes and errors in words: docs/reference/http-api.md.",
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
        )
        described = Litestar(
            route_handlers=self._handlers,
            dependencies={"service": Provide(_nothing), "description": Provide(_nothing_either)},
            openapi_config=config,
            logging_config=None,
        )
        # A copy: Litestar hands out its own.
        schema = copy.deepcopy(dict(described.openapi_schema.to_schema()))
        schema["paths"].update(copy.deepcopy(dict(self._further)))
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {}).update(_SCHEMAS)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        for path, item in schema["paths"].items():
            for method in _METHODS:
                if method in item:
                    _complete(path, item[method])
        return msgspec.json.encode(schema)


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Who may call it, and what its errors look like: Litestar would tell of its own."""
    operation.setdefault("security", _SECURITY[access_of(path)])
    responses = operation["responses"]
    responses.pop("400", None)
    shape = {"$ref": f"#/components/schemas/{'OpenAiError' if errs_as_openai(path) else 'Error'}"}
    for status, meaning in _ERRORS:
        responses.setdefault(status, {"description": meaning, "content": {"application/json": {"schema": shape}}})


async def _nothing() -> None:
    """Takes the place of the service: no handler is called here."""


async def _nothing_either() -> None:
    """Likewise, of the description: Litestar takes one function for one name."""


@get(PATH, response_description="An OpenAPI 3.1 document.")
async def openapi_document(description: Description) -> Response[dict[str, Any]]:
    """This document."""
    return Response(msgspec.Raw(await description.document()), media_type="application/json")  # type: ignore[arg-type]
