from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import Sampling
from rbee.contract.errors import InvalidRequestError
from rbee.contract.infer_rules import validated
from rbee.contract.wire import InferRequest
from rbee.worker.tokens.infer import ask_of
from rbee.worker.tokens.requests import parse_chat, parse_completion

USER = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"function": {"name": "look", "arguments": '{"at": "x"}'}}


def chat(**fields):
    return parse_chat(json.dumps({"messages": USER, **fields}).encode())


def completion(**fields):
    return parse_completion(json.dumps({"prompt": "x", **fields}).encode())


def test_a_plain_conversation_gets_openai_defaults():
    ask = chat()
    assert ask.messages == ({"role": "user", "content": "hi"},)
    assert ask.sampling == Sampling()
    assert (ask.n, ask.max_tokens, ask.stream, ask.seed, ask.wanted) == (1, None, False, None, frozenset())


def test_every_parameter_is_taken_under_the_names_that_clients_have_for_it():
    ask = chat(
        model="m",
        n=2,
        max_tokens=5,
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.1,
        presence_penalty=1,
        frequency_penalty=-1,
        repeat_penalty=1.1,
        logit_bias={"5": -100},
        seed=-(2**63),
        stop=["a", "b"],
        logprobs=True,
        top_logprobs=3,
        ignore_eos=True,
        chat_template_kwargs={"enable_thinking": False},
    )
    assert ask.sampling == Sampling(
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.1,
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
        logit_bias={5: -100},
    )
    assert ask.wanted == frozenset(Sampling.__struct_fields__) - {"seed"}
    assert (ask.n, ask.max_tokens, ask.seed, ask.stop, ask.top_logprobs) == (2, 5, -(2**63), ("a", "b"), 3)
    assert (ask.ignore_ends, ask.variables) == (True, {"enable_thinking": False})


def test_log_probabilities_of_the_chosen_token_alone_may_be_asked_for():
    assert (chat().top_logprobs, chat(logprobs=True).top_logprobs) == (None, 0)
    assert (completion().top_logprobs, completion(logprobs=0).top_logprobs) == (None, 0)


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
        ({"stop": ["a"] * 17}, "stop"),
        ({"n": 0}, "n"),
        ({"n": 65}, "n"),
        ({"min_p": 1.5}, "min_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 1, "repeat_penalty": 2}, "repetition_penalty"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias[...]"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": 5}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"guided_regex": "a", "grammar": "b"}, "grammar"),
        ({"guided_choice": []}, "guided_choice"),
        ({"structured_outputs": {"xml": 1}}, "structured_outputs.xml"),
        ({"structured_outputs": 5}, "structured_outputs"),
        ({"json_schema": "{"}, "json_schema"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "required", "response_format": {"type": "json_object"}}, "tool_choice"),
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
        ({"messages": [*USER, {"role": "robot", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{**USER[0], "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ({"messages": [{**USER[0], "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_name(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        chat(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields", [{"functions": [{}]}, {"audio": {}}, {"no_such_thing": 1}, {"best_of": 2}, {"reasoning_effort": "high"}]
)
def test_what_is_not_supported_is_refused_and_never_dropped(fields):
    with pytest.raises(InvalidRequestError) as caught:
        chat(**fields)
    assert caught.value.param == next(iter(fields))


@pytest.mark.parametrize("fields", [{"best_of": 2}, {"echo": True}, {"suffix": "x"}, {"n": 65}, {"tools": [{}]}])
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


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("y", ("y",)), (["y"], ("y",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,)))],
)
def test_a_completion_takes_prompts_as_texts_and_as_tokens(prompt, prompts):
    assert completion(prompt=prompt).prompts == prompts


@pytest.mark.parametrize("prompt", [None, [], 5, [1, "a"], [[1], "a"], [[]], [-1], ["a"] * 65])
def test_any_other_prompt_is_refused(prompt):
    with pytest.raises(InvalidRequestError) as caught:
        completion(prompt=prompt)
    assert caught.value.param.startswith("prompt")


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"response_format": {"type": "json_object"}}, "json", {"type": "object"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, "json", {}),
        ({"json_schema": {"type": "null"}}, "json", {"type": "null"}),
        ({"guided_json": '{"type": "null"}'}, "json", {"type": "null"}),
        ({"guided_regex": "a+"}, "regex", "a+"),
        ({"structured_outputs": {"choice": ["a", "b"]}}, "choice", ["a", "b"]),
        ({"grammar": 'root ::= "a"'}, "grammar", 'root ::= "a"'),
    ],
)
def test_structure_is_taken_under_the_names_that_clients_have_for_it(fields, kind, value):
    for parse in (chat, completion):
        structure = parse(**fields).structure
        assert (structure.kind, structure.value) == (kind, value)


def test_a_tool_that_is_named_must_be_called_once():
    other = {"type": "function", "function": {"name": "other"}}
    named = chat(tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "look"}}).calling
    assert [tool["function"]["name"] for tool in named.must] == ["look"]
    assert named.single
    assert len(chat(tools=[TOOL, other], tool_choice="required").calling.must) == 2
    assert not chat(tools=[TOOL]).calling.must
    assert not chat(tools=[TOOL], tool_choice="none").calling.tools
    assert chat(tools=[TOOL], parallel_tool_calls=False).calling.single


def test_calls_and_results_of_a_conversation_reach_the_template_as_values():
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", **CALL}]}
    told = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
    _, called, result = chat(messages=[*USER, said, told]).messages
    assert called["content"] == ""
    assert called["tool_calls"] == [
        {"type": "function", "function": {"name": "look", "arguments": {"at": "x"}}, "id": "c1"}
    ]
    assert result == {"role": "tool", "content": "sunny", "tool_call_id": "c1"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b"1e999"])
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(InvalidRequestError):
        parse_chat(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 5000}}]}]},
        {"json_schema": "[" * 5000},
    ],
)
def test_json_within_json_that_is_nested_without_end_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        chat(**fields)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body):
    with suppress(InvalidRequestError):
        parse_chat(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab0", max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = [
    "messages",
    "max_tokens",
    "temperature",
    "stop",
    "stream",
    "stream_options",
    "n",
    "seed",
    "model",
    "logit_bias",
    "tools",
    "tool_choice",
    "response_format",
    "structured_outputs",
    "grammar",
    "logprobs",
    "top_logprobs",
]


@given(st.dictionaries(st.sampled_from(fields), json_values))
def test_no_json_raises_anything_else(body):
    with suppress(InvalidRequestError):
        parse_chat(json.dumps({"messages": USER, **body}).encode())


def test_an_infer_prompt_is_a_user_message_unless_raw():
    assert ask_of(InferRequest(prompt="x"), chat=True).messages == ({"role": "user", "content": "x"},)
    assert ask_of(InferRequest(prompt="x", raw=True), chat=True).prompts == ("x",)
    assert ask_of(InferRequest(prompt="x"), chat=False).prompts == ("x",)


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


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"temperature": -1}, "'temperature' must be a number from 0 to 2, not -1."),
        ({"temperature": "hot"}, "'temperature' must be a number from 0 to 2, not 'hot'."),
        ({"top_p": 2}, "'top_p' must be a number above 0 and at most 1, not 2."),
        ({"top_k": -3}, "'top_k' must be a whole number from 0 to 100000, not -3."),
        ({"min_p": 7}, "'min_p' must be a number from 0 to 1, not 7."),
        ({"n": 0}, "'n' must be a whole number from 1 to 64, not 0."),
        ({"max_tokens": 1.5}, "'max_tokens' must be a whole number from 1 to 1000000, not 1.5."),
        ({"presence_penalty": 9}, "'presence_penalty' must be a number from -2 to 2, not 9."),
        ({"repetition_penalty": 0}, "'repetition_penalty' must be a number above 0 and at most 2, not 0."),
        ({"seed": 1.5}, f"'seed' must be a whole number from {-(2**63)} to {2**63 - 1}, not 1.5."),
        ({"top_k": 10**80}, f"'top_k' must be a whole number from 0 to 100000, not 1{'0' * 39}..."),
    ],
)
def test_a_number_out_of_bounds_is_told_with_both_of_them(more: dict[str, Any], told: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], **more}).encode()
    with pytest.raises(InvalidRequestError, match=re.escape(told)) as caught:
        parse_chat(body)
    assert caught.value.param == next(iter(more))
