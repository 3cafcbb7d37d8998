"""A request's traits, read from its head and its body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.gateway.body import routing_fields
from rbee.gateway.message import client_head
from rbee.gateway.reading import traits_of
from rbee.gateway.traits import Traits


def read(headers: dict[str, str] | None = None, **fields: Any) -> Traits:
    body = json.dumps({"model": "m", **fields}).encode()
    head = client_head([(name.encode(), value.encode()) for name, value in (headers or {}).items()])
    return traits_of(head, routing_fields(body), body)


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_a_bare_request_has_none() -> None:
    assert read() == Traits()


def test_callers_are_told_apart_by_their_keys_which_are_not_kept() -> None:
    one, other = read({"authorization": "Bearer one"}), read({"x-api-key": "other"})
    assert one.key
    assert other.key
    assert one.key != other.key
    assert "one" not in one.key
    assert read({"authorization": "Bearer one"}, messages=said("hi")).key == one.key


@pytest.mark.parametrize(
    ("headers", "fields", "batch"),
    [
        ({"x-rbee-priority": "batch"}, {}, True),
        ({"x-rbee-priority": " Interactive "}, {"service_tier": "flex"}, False),
        ({}, {"service_tier": "flex"}, True),
        ({}, {"service_tier": "auto"}, False),
        ({}, {"service_tier": None}, False),
    ],
)
def test_the_lane_is_told_by_a_header_or_as_openai_tells_it(headers, fields, batch: bool) -> None:
    assert read(headers, **fields).batch is batch


@pytest.mark.parametrize(
    ("headers", "name"),
    [({"x-rbee-priority": "urgent"}, "X-RBEE-Priority"), ({"x-rbee-keep-alive": "soon"}, "Keep-Alive")],
)
def test_a_header_without_meaning_is_refused_and_named(headers: dict[str, str], name: str) -> None:
    with pytest.raises(InvalidRequestError, match=name):
        read(headers)


def test_the_session_is_told_by_a_header_or_as_openai_tells_it() -> None:
    assert read({"x-session-id": "s"}, prompt_cache_key="k").session == "s"
    assert read(prompt_cache_key="k").session == "k"
    assert read({"x-session-id": ""}).session is None
    assert len(read({"x-session-id": "s" * 999}).session or "") == 256


@pytest.mark.parametrize("value", [None, 7, {"a": 1}, ""])
def test_what_is_no_session_is_left_to_the_worker(value: Any) -> None:
    assert read(prompt_cache_key=value).session is None


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
        ({"max_tokens": -3}, 0),
        ({"max_tokens": "many"}, None),
        ({"max_tokens": None}, None),
    ],
)
def test_the_answer_s_bound_is_read_where_it_is_a_number(fields: dict[str, Any], most: int | None) -> None:
    assert read(**fields).max_tokens == most


def test_how_long_the_model_is_kept_is_read() -> None:
    assert read({"x-rbee-keep-alive": "5m"}).keep_alive_s == 300


def test_prompts_that_begin_alike_have_leading_blocks_in_common() -> None:
    system = {"role": "system", "content": "You are of help. " * 200}
    one = read(messages=[system, *said("first question " * 60)]).blocks
    other = read(messages=[system, *said("quite another one " * 60)], temperature=0.5).blocks
    common = sum(a == b for a, b in zip(one, other, strict=False))
    assert common >= 5
    assert one[:common] == other[:common]
    assert not set(one[common:]) & set(other[common:])


def test_what_stands_before_the_prompt_does_not_matter() -> None:
    text = "Once upon a time " * 100
    assert read(messages=said(text)).blocks == read(temperature=0.7, messages=said(text)).blocks != ()


def test_prompts_are_counted_roughly_and_short_ones_have_no_blocks() -> None:
    traits = read(prompt="word " * 80)
    assert traits.prompt_tokens == pytest.approx(100, rel=0.1)
    assert traits.blocks == ()


def test_the_number_of_blocks_is_bounded() -> None:
    assert len(read(prompt="x" * 1_000_000).blocks) == 128


@pytest.mark.parametrize("name", ["x-session-id", "x-rbee-priority", "x-rbee-keep-alive", "authorization"])
def test_they_are_not_sent_on_to_workers(name: str) -> None:
    assert name.encode() not in client_head([(name.encode(), b"1")]).forwarded
