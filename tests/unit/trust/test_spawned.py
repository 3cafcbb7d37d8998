"""Tokens of workers: each opens what is its worker's, and dies with it."""

from __future__ import annotations

import base64
import json

import pytest
from rbee.trust.names import Peer, Role
from rbee.trust.spawned import HASH_VARIABLE, PREFIX, SPAWN_VARIABLE, SpawnTokens, token_hash

SECRET = "the-colonys-own-token"
WORKERS = ["worker-1a2b", "mine.with.dots", "ünï/code", "x" * 128]


@pytest.mark.parametrize("worker_id", WORKERS)
def test_a_token_says_whose_it_is_to_every_program_with_the_secret(worker_id: str) -> None:
    token = SpawnTokens(SECRET).make(worker_id)
    assert token is not None
    assert SpawnTokens(SECRET).judge(token.encode()) == Peer(Role.WORKER, worker_id)
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


def test_when_its_worker_has_ended_it_opens_nothing_and_the_next_one_of_the_same_name_does() -> None:
    tokens = SpawnTokens(SECRET)
    old, other = tokens.make("w"), tokens.make("other")
    tokens.end("w")
    new = tokens.make("w")
    assert old is not None
    assert new is not None
    assert other is not None
    assert tokens.judge(old.encode()) is None
    assert tokens.judge(new.encode()) == Peer(Role.WORKER, "w")
    assert tokens.judge(other.encode()) == Peer(Role.WORKER, "other")


def test_the_certificate_of_a_worker_that_has_ended_counts_no_more_until_it_gets_another_one() -> None:
    tokens = SpawnTokens(None)
    worker, hive = Peer(Role.WORKER, "w", 7), Peer(Role.HIVE, "w", 8)
    assert not tokens.has_ended(worker)
    tokens.end("w")
    assert (tokens.has_ended(worker), tokens.has_ended(hive)) == (True, False)
    tokens.begin("w")
    assert not tokens.has_ended(worker)


def test_a_worker_gets_its_token_and_of_the_colonys_only_the_hash() -> None:
    found = SpawnTokens(SECRET).environment("w")
    assert found[HASH_VARIABLE] == token_hash(SECRET)
    assert found[SPAWN_VARIABLE].encode().startswith(PREFIX)
    assert SECRET not in found.values()
    assert found["RBEE_TOKEN"] == ""
