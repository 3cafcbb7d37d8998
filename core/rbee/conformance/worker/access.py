"""Who may call what."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rbee.conformance.checks import Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.contract.wire.worker_api import ErrorEnvelope

_CONTROL: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/info", None),
    ("GET", "/capabilities", None),
    # What it would do without a token must do no harm: no addresses are given.
    ("POST", "/v1/colony", b"[]"),
    ("POST", "/v1/drain", None),
    ("DELETE", "/v1/drain", None),
)
_SHUTDOWN = ("POST", "/v1/shutdown", None)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


async def _token(subject: Subject) -> None:
    if subject.http.token is None:
        raise NotAskedError("no token was given")
    routes = [*_CONTROL, _SHUTDOWN] if subject.may_end else _CONTROL
    try:
        for method, path, body in routes:
            for headers in ({}, {"authorization": "Bearer not-the-token"}):
                answer = await subject.http.ask(method, path, body, headers=headers, with_token=False)
                how = "with a wrong token" if headers else "without a token"
                require(answer.status in {401, 403}, f"{answer} {how}; 401 was expected")
                answer.read(ErrorEnvelope, status=answer.status)
    finally:
        await subject.http.ask("DELETE", "/v1/drain")


async def _key(subject: Subject) -> None:
    if subject.http.token is None:
        raise NotAskedError("no token was given")
    for headers in ({"authorization": f"bearer {subject.http.token}"}, {"x-api-key": subject.http.token}):
        answer = await subject.http.ask("GET", "/info", headers=headers, with_token=False)
        require(answer.status == 200, f"{answer} with the token in {next(iter(headers))!r}; 200 was expected")


async def _host(subject: Subject) -> None:
    if urlsplit(subject.http.url).hostname not in _LOOPBACK:
        raise NotAskedError("the worker is not on loopback, where names could be rebound to it")
    answer = await subject.http.ask("GET", "/health", headers={"host": "rebound.example"})
    require(answer.status in {400, 403}, f"{answer} for the Host 'rebound.example'; 403 was expected")
    page = await subject.http.ask("GET", "/health", headers={"origin": "http://rebound.example"})
    require(page.status == 403, f"{page} for the Origin 'http://rebound.example'; 403 was expected")


CHECKS = (
    Check(id="W-ACCESS-1", promise="Control routes answer 401 without the token and with a wrong one.", run=_token),
    Check(
        id="W-ACCESS-2",
        promise="The token is taken from Authorization: Bearer and from x-api-key.",
        run=_key,
    ),
    Check(id="W-ACCESS-3", promise="On loopback a foreign Host or Origin is refused.", run=_host),
)
