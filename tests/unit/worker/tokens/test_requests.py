from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import InvalidRequestError
from rbee.contract.infer_rules import validated
from rbee.contract.wire import InferRequest
from rbee.worker.tokens.infer import ask_of
from rbee.worker.tokens.requests import parse_chat, parse_completion

USER = [{"role": "user", "content": "hi"}]


def chat(**fields):
    return parse_chat(json.dumps({"messages": USER, **fields}).encode())


def completion(**fields):
    return parse_completion(json.dumps({"prompt": "x", **fields}).encode())


def test_a_plain_conversation_gets_openai_defaults():
    ask = chat()
    assert ask.messages == ({"role": "user", "content": "hi"},)
    assert (ask.temperature, ask.top_p, ask.top_k, ask.max_tokens, ask.stream) == (1.0, 1.0, 0, None, False)


def test_every_supported_parameter_reaches_the_engine():
    ask = chat(model="m", max_tokens=5, temperature=0, top_p=0.5, top_k=40, seed=-(2**63), stop=["a", "b"])
    request = ask.token_request("r")
    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (5, 0, 0.5, 40)
    assert request.seed == -(2**63)
    assert ask.stop == ("a", "b")


def test_text_parts_become_one_text():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages[0]["content"] == "a\nb"


def test_an_earlier_answer_may_be_sent_back_as_the_sdk_dumps_it():
    said = {"role": "assistant", "content": "ho", "refusal": None, "tool_calls": None, "annotations": []}
    assert chat(messages=[*USER, said, *USER]).messages[1] == {"role": "assistant", "content": "ho"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1_000_001}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": []}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": ["x" * 257]}, "stop[0]"),
        ({"stop": 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"other": 1}}, "stream_options.other"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": USER * 10_001}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [*USER, {"role": "tool", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{**USER[0], "tool_calls": [{}]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_name(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        chat(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"top_logprobs": 3},
        {"frequency_penalty": 0.5},
        {"presence_penalty": -1},
        {"logit_bias": {"5": 1}},
        {"functions": [{}]},
        {"audio": {}},
        {"no_such_thing": 1},
    ],
)
def test_what_is_not_supported_is_refused_and_never_dropped(fields):
    with pytest.raises(InvalidRequestError) as caught:
        chat(**fields)
    assert caught.value.param == next(iter(fields))


@pytest.mark.parametrize("fields", [{"best_of": 2}, {"echo": True}, {"logprobs": 0}, {"suffix": "x"}, {"n": 3}])
def test_what_a_completion_does_not_support_is_refused(fields):
    with pytest.raises(InvalidRequestError) as caught:
        completion(**fields)
    assert caught.value.param == next(iter(fields))


def test_parameters_that_ask_for_nothing_pass():
    chat(
        n=1,
        tools=[],
        tool_choice="none",
        parallel_tool_calls=True,
        response_format={"type": "text"},
        logprobs=False,
        logit_bias={},
        frequency_penalty=0.0,
        presence_penalty=0,
        user="me",
        metadata={"a": "b"},
        store=False,
        max_tokens=None,
    )
    completion(best_of=1, echo=False, suffix=None, logprobs=None)


def test_a_completion_without_a_limit_gets_sixteen_tokens():
    assert completion().max_tokens == 16
    assert completion(prompt=["y"]).prompt == "y"


@pytest.mark.parametrize("prompt", [None, [], ["a", "b"], [1, 2], 5])
def test_a_completion_takes_one_text(prompt):
    with pytest.raises(InvalidRequestError) as caught:
        completion(prompt=prompt)
    assert caught.value.param.startswith("prompt")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b"1e999"])
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(InvalidRequestError):
        parse_chat(body)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body):
    with suppress(InvalidRequestError):
        parse_chat(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab0", max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = ["messages", "max_tokens", "temperature", "stop", "stream", "stream_options", "n", "seed", "model"]


@given(st.dictionaries(st.sampled_from(fields), json_values))
def test_no_json_raises_anything_else(body):
    with suppress(InvalidRequestError):
        parse_chat(json.dumps({"messages": USER, **body}).encode())


def test_an_infer_prompt_is_a_user_message_unless_raw():
    assert ask_of(InferRequest(prompt="x"), chat=True).messages == ({"role": "user", "content": "x"},)
    assert ask_of(InferRequest(prompt="x", raw=True), chat=True).prompt == "x"
    assert ask_of(InferRequest(prompt="x"), chat=False).prompt == "x"


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (InferRequest(messages=USER, raw=True), "raw"),
        (InferRequest(messages=[]), "messages"),
        (InferRequest(messages=[{"role": "user"}]), "messages[0].content"),
    ],
)
def test_messages_of_an_infer_request_must_be_a_conversation(request_, param):
    with pytest.raises(InvalidRequestError) as caught:
        ask_of(request_, chat=True)
    assert caught.value.param == param


def test_an_infer_request_takes_as_many_stop_strings_with_any_engine():
    stops = [str(number) for number in range(16)]
    assert ask_of(validated(InferRequest(prompt="x", stop=stops)), chat=True).stop == tuple(stops)


def test_messages_need_a_model_that_converses():
    with pytest.raises(InvalidRequestError, match="converse"):
        ask_of(InferRequest(messages=USER), chat=False)
