"""The front door."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rbee.contract.errors import AuthenticationError, PermissionDeniedError
from rbee.http.front import Front, access_of
from rbee.http.guard import Access, Guard
from rbee.http.sse import encode
from rbee.trust.names import Role
from rbee.trust.spawned import SpawnTokens

GUARD = Guard(token="the-colonys-own-token", host="127.0.0.1")
AUTH = (b"x-api-key", b"the-colonys-own-token")


class Site:
    def __init__(self, *, data_plane: bool = True) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.spawned = SpawnTokens(GUARD.token)
        guard = msgspec.structs.replace(GUARD, role=Role.QUEEN)
        self.front = Front(self._app, guard, data_plane=self._plane if data_plane else None, spawned=self.spawned)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(("app", scope))

    async def _plane(self, scope: Any, receive: Any, send: Any, *, path: str, request_id: str) -> None:
        self.calls.append(("plane", (path, request_id)))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def ask(self, method: str, path: str, *headers: tuple[bytes, bytes], kind: str = "http") -> None:
        scope = {"type": kind, "method": method, "path": path, "headers": [(b"host", b"localhost"), *headers]}
        await self.front(scope, None, self._send)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.sent[1]["body"])["error"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
async def test_inference_takes_the_data_plane(path: str) -> None:
    site = Site()
    await site.ask("POST", path, (b"x-request-id", b"mine-1"))
    assert site.calls == [("plane", ("/v1/chat/completions", "mine-1"))]


@pytest.mark.parametrize("given", [b"", b"two words", b"x" * 129, b"a\r\nb", b"\xff"])
async def test_a_harmful_request_id_is_replaced(given: bytes) -> None:
    site = Site()
    await site.ask("POST", "/v1/completions", (b"x-request-id", given))
    assert site.calls[0][1][1].startswith("req-")


async def test_the_prefix_is_taken_off_for_the_application_too() -> None:
    site = Site()
    await site.ask("GET", "/openai/v1/models")
    name, scope = site.calls[0]
    assert (name, scope["path"], scope["raw_path"]) == ("app", "/v1/models", b"/v1/models")
    assert scope["state"]["openai"] is True


async def test_a_program_without_a_data_plane_points_to_the_queen() -> None:
    site = Site(data_plane=False)
    await site.ask("POST", "/v1/embeddings")
    assert site.sent[0]["status"] == 404
    assert "queen" in site.error["message"]
    assert "type" in site.error


@pytest.mark.parametrize("path", ["/v1/jobs", "/openai/v1/jobs", "/anything", "//health", "/health/x", "/v1/shutdown"])
async def test_control_needs_the_token_and_is_refused_in_the_control_envelope(path: str) -> None:
    site = Site()
    await site.ask("GET", path)
    assert (site.calls, site.sent[0]["status"], site.error["code"]) == ([], 401, "INVALID_API_KEY")
    await site.ask("GET", path, AUTH)
    assert site.calls[0][0] == "app"


async def test_a_websocket_is_closed() -> None:
    site = Site()
    await site.ask("GET", "/", kind="websocket")
    assert site.sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("path", "access"),
    [
        ("/health", Access.OPEN),
        ("/ready", Access.OPEN),
        ("/v1/models/org/m", Access.INFERENCE),
        ("/v1/infer/req-1", Access.INFERENCE),
        ("/v1/chat/completions/x", Access.CONTROL),
        ("/openai/health", Access.CONTROL),
        ("/v1/modelsx", Access.CONTROL),
    ],
)
def test_everything_not_named_is_control(path: str, access: Access) -> None:
    assert access_of(path) is access


def test_an_event_is_written_with_its_fields() -> None:
    assert encode(b"{}") == b"data: {}\n\n"
    assert encode(b"{}", event="beat", event_id=3) == b"id: 3\nevent: beat\ndata: {}\n\n"


PAGE = (b"origin", b"https://page.example")


class Shop(Site):
    """A site that one foreign page may call."""

    def __init__(self) -> None:
        super().__init__()
        guard = Guard(token="the-colonys-own-token", host="127.0.0.1", allowed_origins=("https://page.example",))
        self.front = Front(self._answer, guard)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"{}"})

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def test_a_preflight_of_an_allowed_page_is_answered_without_a_token() -> None:
    shop = Shop()
    wanted = (b"access-control-request-headers", b"authorization,X-Stainless-OS, <bad>")
    await shop.ask("OPTIONS", "/v1/jobs", PAGE, (b"access-control-request-method", b"POST"), wanted)
    assert shop.sent[0]["status"] == 204
    assert shop.headers[b"access-control-allow-origin"] == b"https://page.example"
    assert b"DELETE" in shop.headers[b"access-control-allow-methods"]
    names = shop.headers[b"access-control-allow-headers"].decode().split(", ")
    assert {"authorization", "content-type", "x-api-key", "x-request-id", "x-stainless-os"} <= set(names)
    assert not any("bad" in name for name in names)
    assert (shop.headers[b"vary"], b"access-control-max-age" in shop.headers) == (b"origin", True)


async def test_an_allowed_page_may_read_answers_and_refusals() -> None:
    shop = Shop()
    await shop.ask("GET", "/health", PAGE)
    assert shop.headers[b"access-control-allow-origin"] == b"https://page.example"
    assert shop.headers[b"access-control-expose-headers"] == b"x-request-id"
    assert (shop.headers[b"a"], shop.headers[b"vary"]) == (b"b", b"origin")
    refused = Shop()
    await refused.ask("GET", "/v1/jobs", PAGE)
    assert refused.sent[0]["status"] == 401
    assert refused.headers[b"access-control-allow-origin"] == b"https://page.example"


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_a_foreign_page_is_told_nothing(method: str) -> None:
    shop = Shop()
    foreign = (b"origin", b"https://page.example.evil")
    await shop.ask(method, "/health", foreign, (b"access-control-request-method", b"POST"))
    assert shop.sent[0]["status"] == 403
    assert not any(name.startswith(b"access-control") for name in shop.headers)


async def test_without_an_origin_nothing_is_added() -> None:
    shop = Shop()
    await shop.ask("GET", "/health")
    assert shop.headers == {b"a": b"b"}


def worker_shows(token: str | None) -> tuple[bytes, bytes]:
    assert token is not None
    return (b"authorization", b"Bearer " + token.encode())


async def test_a_workers_token_says_who_asks() -> None:
    site = Site()
    await site.ask("POST", "/v1/worker-heartbeat", worker_shows(site.spawned.make("w")))
    assert site.calls[0][1]["state"]["peer"][:2] == (Role.WORKER, "w")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/jobs"), ("GET", "/v1/workers"), ("POST", "/v1/infer"), ("POST", "/v1/shutdown")],
)
async def test_a_workers_token_opens_nothing_of_an_operators(method: str, path: str) -> None:
    site = Site()
    await site.ask(method, path, worker_shows(site.spawned.make("w")))
    assert site.calls == []
    assert site.error["code"] == PermissionDeniedError.code


async def test_a_workers_token_opens_nothing_when_its_worker_has_ended() -> None:
    site = Site()
    token = site.spawned.make("w")
    await site.ask("POST", "/v1/worker-heartbeat", worker_shows(token))
    site.calls.clear()
    site.spawned.end("w")
    await site.ask("POST", "/v1/worker-heartbeat", worker_shows(token))
    assert site.calls == []
    assert site.error["code"] == AuthenticationError.code


async def test_the_host_is_checked_for_workers_too() -> None:
    site = Site()
    scope = {"type": "http", "method": "POST", "path": "/v1/worker-heartbeat"}
    headers = [(b"host", b"evil.example"), worker_shows(site.spawned.make("w"))]
    await site.front({**scope, "headers": headers}, None, site._send)
    assert site.calls == []
    assert site.error["code"] == PermissionDeniedError.code
