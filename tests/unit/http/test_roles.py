from __future__ import annotations

import pytest
from rbee.contract.errors import AuthenticationError, PermissionDeniedError
from rbee.http.guard import Access, Guard
from rbee.http.peers import check_speaks_for
from rbee.http.roles import may
from rbee.trust.names import Peer, Role

HIVE, WORKER, QUEEN = Peer(Role.HIVE, "attic"), Peer(Role.WORKER, "w"), Peer(Role.QUEEN, "queen")
HOST = [(b"host", b"127.0.0.1:1")]


@pytest.mark.parametrize(
    ("asked", "peer", "method", "path"),
    [
        (Role.QUEEN, HIVE, "POST", "/v1/hive-heartbeat"),
        (Role.QUEEN, HIVE, "POST", "/v1/ca/renew"),
        (Role.QUEEN, HIVE, "POST", "/v1/ca/worker"),
        (Role.QUEEN, HIVE, "GET", "/v1/info"),
        (Role.QUEEN, HIVE, "DELETE", "/v1/workers/w"),
        (Role.QUEEN, WORKER, "POST", "/v1/worker-heartbeat"),
        (Role.REGISTRY, HIVE, "GET", "/v1/registry/components"),
        (Role.REGISTRY, QUEEN, "PUT", "/v1/registry/revoked"),
        (Role.REGISTRY, WORKER, "POST", "/v1/registry/register"),
        (Role.HIVE, QUEEN, "POST", "/v1/jobs"),
        (Role.HIVE, HIVE, "GET", "/v1/models/m/files/a.gguf"),
        (Role.WORKER, QUEEN, "POST", "/v1/chat/completions"),
        (Role.WORKER, HIVE, "POST", "/v1/shutdown"),
    ],
)
def test_each_program_may_do_what_is_its_work(asked: Role, peer: Peer, method: str, path: str) -> None:
    assert may(asked, peer, method, path)


@pytest.mark.parametrize(
    ("asked", "peer", "method", "path"),
    [
        # What an operator does: start, stop, read, change.
        *(
            (Role.QUEEN, one, "POST", path)
            for one in (HIVE, WORKER)
            for path in ("/v1/jobs", "/v1/shutdown", "/v1/ca/invite")
        ),
        (Role.QUEEN, HIVE, "POST", "/v1/chat/completions"),
        (Role.QUEEN, HIVE, "GET", "/v1/jobs"),
        (Role.QUEEN, HIVE, "GET", "/v1/decisions"),
        (Role.QUEEN, HIVE, "POST", "/v1/worker-heartbeat"),
        (Role.QUEEN, HIVE, "POST", "/v2/registry/beehives/add"),
        (Role.QUEEN, HIVE, "DELETE", "/v1/workers/w/drain"),
        (Role.QUEEN, WORKER, "POST", "/v1/hive-heartbeat"),
        (Role.QUEEN, WORKER, "POST", "/v1/ca/worker"),
        (Role.HIVE, HIVE, "GET", "/v1/workers/w/log"),
        (Role.HIVE, HIVE, "POST", "/v1/jobs"),
        (Role.HIVE, WORKER, "POST", "/v1/jobs"),
        (Role.WORKER, WORKER, "POST", "/v1/chat/completions"),
        (Role.WORKER, HIVE, "POST", "/v1/chat/completions"),
        (Role.REGISTRY, WORKER, "GET", "/v1/registry/events"),
        (Role.REGISTRY, WORKER, "PUT", "/v1/registry/revoked"),
        (Role.REGISTRY, HIVE, "PUT", "/v1/registry/revoked"),
    ],
)
def test_no_certificate_opens_what_is_another_ones(asked: Role, peer: Peer, method: str, path: str) -> None:
    assert not may(asked, peer, method, path)


def test_a_guard_lets_a_peer_do_its_work_without_a_token_and_nothing_else() -> None:
    guard = Guard(token="t" * 20, host="198.51.100.7", role=Role.QUEEN)
    guard.check(HOST, Access.CONTROL, HIVE, ("POST", "/v1/hive-heartbeat"))
    with pytest.raises(PermissionDeniedError, match="hive 'attic'"):
        guard.check(HOST, Access.CONTROL, HIVE, ("POST", "/v1/shutdown"))
    with pytest.raises(PermissionDeniedError):
        guard.check(HOST, Access.INFERENCE, HIVE, ("POST", "/v1/chat/completions"))
    guard.check(HOST, Access.OPEN, HIVE, ("GET", "/health"))


def test_who_shows_a_token_besides_is_judged_by_it() -> None:
    guard = Guard(token="t" * 20, host="198.51.100.7", role=Role.QUEEN)
    guard.check([*HOST, (b"authorization", b"Bearer " + b"t" * 20)], Access.CONTROL, HIVE, ("POST", "/v1/shutdown"))
    with pytest.raises(AuthenticationError):
        guard.check([*HOST, (b"authorization", b"Bearer x")], Access.CONTROL, HIVE, ("POST", "/v1/hive-heartbeat"))


def test_a_guard_of_no_program_lets_no_peer_do_anything() -> None:
    with pytest.raises(PermissionDeniedError):
        Guard(token="t" * 20, host="127.0.0.1").check(HOST, Access.CONTROL, HIVE, ("POST", "/v1/hive-heartbeat"))


def test_a_program_speaks_for_itself_alone_and_an_operator_for_all() -> None:
    check_speaks_for(HIVE, Role.HIVE, "attic")
    check_speaks_for(None, Role.HIVE, "cellar")
    check_speaks_for(HIVE, Role.WORKER, "w")
    with pytest.raises(PermissionDeniedError, match="cellar"):
        check_speaks_for(HIVE, Role.HIVE, "cellar")
    with pytest.raises(PermissionDeniedError):
        check_speaks_for(HIVE, Role.HIVE, None)
