"""Refusals of an engine's server in the words of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rbee.contract.errors import ContextLengthError, RbeeError
from rbee.worker.translating import Translating


class Client:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def __call__(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent[1:])


def start(status: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def too_long(status: int, data: bytes) -> RbeeError | None:
    assert status == 400
    return ContextLengthError("Too long.", param="messages") if data == b'{"too": "long"}' else None


@pytest.fixture
def client() -> Client:
    return Client()


async def test_a_refusal_that_is_known_is_told_in_the_words_of_the_api(client: Client) -> None:
    send = Translating(client, too_long, "req-1")
    for message in (start(400), body(b'{"too": ', more=True), body(b'"long"}')):
        await send(message)
    assert client.status == 400
    error = json.loads(client.body)["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert (b"x-request-id", b"req-1") in client.sent[0]["headers"]


async def test_one_that_is_not_known_passes_as_it_is(client: Client) -> None:
    send = Translating(client, too_long, "req-1")
    for message in (start(400), body(b"else", more=True), body(b"where")):
        await send(message)
    assert client.sent == [start(400), body(b"elsewhere")]


@pytest.mark.parametrize(
    ("status", "elsewhere", "marked"), [(500, True, True), (503, True, True), (404, True, False), (500, False, False)]
)
async def test_a_failure_of_a_server_elsewhere_is_marked(
    client: Client, status: int, elsewhere: bool, marked: bool
) -> None:
    send = Translating(client, lambda *_: None, "req-1", elsewhere=elsewhere)
    for message in (start(status), body(b"no")):
        await send(message)
    assert ((b"x-rbee-elsewhere", b"1") in client.sent[0]["headers"]) is marked
    assert (client.status, client.body) == (status, b"no")


async def test_answers_are_never_held_back(client: Client) -> None:
    send = Translating(client, too_long, "req-1")
    for message in (start(200), body(b"a", more=True)):
        await send(message)
    assert client.sent == [start(200), body(b"a", more=True)]


async def test_a_refusal_of_any_length_costs_little(client: Client) -> None:
    send = Translating(client, too_long, "req-1")
    await send(start(400))
    for _ in range(3):
        await send(body(b"x" * 40_000, more=True))
    assert len(client.body) == 120_000
    await send(body(b""))
    assert client.sent[-1] == body(b"")
