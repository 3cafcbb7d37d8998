"""Errors of another program, raised as they were raised there."""

from __future__ import annotations

import socket

import pytest
from rbee.clients import Transport, backoff, jittered
from rbee.clients.transport import error_from_body
from rbee.contract.errors import (
    ContextLengthError,
    ModelNotFoundError,
    NoPlacementError,
    RbeeError,
    UnreachableError,
)
from rbee.http.errors import render


@pytest.mark.parametrize("openai", [True, False])
@pytest.mark.parametrize(
    "error", [ModelNotFoundError("no 'm'"), NoPlacementError("none", details={"reasons": []}), ContextLengthError("x")]
)
def test_an_error_survives_the_way(error: RbeeError, openai: bool) -> None:
    answer = render(error, openai=openai)
    found = error_from_body(answer.status, answer.body, where="there")
    assert type(found) is type(error)
    assert (found.message, found.details) == (error.message, error.details)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"error": "text"}', b'{"error": {"code": 1}}', b"\xff"]
)
def test_a_body_that_says_nothing_names_who_answered(body: bytes) -> None:
    assert "the queen answered 502" in error_from_body(502, body, where="the queen").message


def test_an_unknown_code_is_still_an_error_of_ours() -> None:
    found = error_from_body(418, b'{"error": {"code": "TEAPOT", "message": "short", "details": 7}}', where="x")
    assert (type(found), found.message, found.details) == (RbeeError, "short", {})


async def test_nobody_there_is_unreachable_and_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        transport = Transport(url, None, "The queen")
        with pytest.raises(UnreachableError, match=f"The queen at {url}"):
            await transport.call("GET", "/health", dict)
        await transport.close()


def test_tries_come_at_growing_distances_without_end() -> None:
    waits = backoff()
    assert [next(waits) for _ in range(8)] == [0, 2, 4, 8, 16, 30, 30, 30]
    assert all(7.5 <= jittered(10) <= 12.5 for _ in range(100))
