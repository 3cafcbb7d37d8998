"""Tokens of workers: each opens what is its worker's, and dies with it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from rbee.trust.names import Peer, Role
from rbee.trust.spawned import HASH_VARIABLE, PREFIX, SPAWN_VARIABLE, SpawnTokens, token_hash

SECRET = "the-colonys-own-token"
WORKERS = ["worker-1a2b", "mine.with.dots", "ünï/code", "x" * 128]


@pytest.mark.parametrize("worker_id", WORKERS)
def test_a_token_says_whose_it_is_to_every_program_with_the_secret(worker_id: str) -> None:
    token = SpawnTokens(SECRET).make(worker_id)
    assert token is not None
    found = SpawnTokens(SECRET).judge(token.encode())
    assert found is not None
    assert found[:2] == (Role.WORKER, worker_id)
    assert SECRET not in token


def test_no_two_are_alike() -> None:
    tokens = SpawnTokens(SECRET)
    assert tokens.make("w") != tokens.make("w")


def test_one_of_another_colony_is_not_believed() -> None:
    token = SpawnTokens("another-colonys-token").make("w")
    assert token is not None
    assert SpawnTokens(SECRET).judge(token.encode()) is None


def test_without_a_secret_none_is_made_and_none_believed() -> None:
    token = SpawnTokens(SECRET).make("w")
    assert token is not None
    nobody = SpawnTokens(None)
    assert (nobody.make("w"), nobody.environment("w"), nobody.judge(token.encode())) == (None, {}, None)


def test_another_name_under_the_same_signature_is_not_believed() -> None:
    token = SpawnTokens(SECRET).make("mine")
    assert token is not None
    said, _, signature = token.encode().removeprefix(PREFIX).partition(b".")
    claims = json.loads(base64.urlsafe_b64decode(said + b"=" * (-len(said) % 4)))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "worker_id": "other"}).encode()).rstrip(b"=")
    assert SpawnTokens(SECRET).judge(PREFIX + forged + b"." + signature) is None


@pytest.mark.parametrize(
    "given", [b"", b"x", PREFIX, PREFIX + b".", PREFIX + b"e30.AAAA", PREFIX + b"x" * 5000, SECRET.encode()]
)
def test_what_is_no_token_is_nobodys(given: bytes) -> None:
    assert SpawnTokens(SECRET).judge(given) is None


def judged(tokens: SpawnTokens, token: str | None) -> Peer | None:
    assert token is not None
    found = tokens.judge(token.encode())
    if found is not None:
        tokens.seen(found)
    return found


def test_when_its_worker_has_ended_it_opens_nothing_and_the_next_one_of_the_same_name_does() -> None:
    tokens = SpawnTokens(SECRET)
    # Made before the end of the one before: word of that may come late.
    old, new, other = tokens.make("w"), tokens.make("w"), tokens.make("other")
    assert judged(tokens, old)
    assert judged(tokens, other)
    tokens.end("w")
    tokens.end("w")
    assert judged(tokens, old) is None
    assert judged(tokens, new)
    assert judged(tokens, other)


def test_what_has_ended_stays_so_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "ended"
    first = SpawnTokens(SECRET, file)
    old, living = first.make("w"), first.make("living")
    assert judged(first, old)
    assert judged(first, living)
    first.end("w")
    with file.open("a") as half:
        half.write("12ab\nno number\n7")
    again = SpawnTokens(SECRET, file)
    assert judged(again, old) is None
    assert judged(again, living)
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_it_cannot_be_written_down_it_holds_until_the_restart(tmp_path: Path) -> None:
    tokens = SpawnTokens(SECRET, tmp_path / "missing" / "ended")
    token = tokens.make("w")
    assert judged(tokens, token)
    tokens.end("w")
    assert judged(tokens, token) is None


def test_all_that_a_worker_has_shown_ends_with_it_renewed_certificates_too() -> None:
    tokens = SpawnTokens(None)
    for serial in (7, 8):
        tokens.seen(Peer(Role.WORKER, "w", serial))
    tokens.seen(Peer(Role.HIVE, "w", 9))
    tokens.end("w")
    assert [tokens.has_ended(Peer(Role.WORKER, "w", serial)) for serial in (7, 8, 10)] == [True, True, False]
    assert not tokens.has_ended(Peer(Role.HIVE, "w", 9))


def test_a_worker_gets_its_token_and_of_the_colonys_only_the_hash() -> None:
    found = SpawnTokens(SECRET).environment("w")
    assert found[HASH_VARIABLE] == token_hash(SECRET)
    assert found[SPAWN_VARIABLE].encode().startswith(PREFIX)
    assert SECRET not in found.values()
    assert found["RBEE_TOKEN"] == ""
