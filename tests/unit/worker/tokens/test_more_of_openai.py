"""What a token engine's clients see beyond text: tools, reasoning, several answers, probabilities, progress."""

from __future__ import annotations

import json

import msgspec
import pytest
from rbee.contract import Capability
from rbee.testing.tables import TableTokenizer
from rbee.worker.tokens.constraints import Grammars

CHAT = "/v1/chat/completions"
USER = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALLS = "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}"
HERMES = TableTokenizer(["<tool_call>", '{"name": "look", "arguments": ', '{"at": ', '"x"}', "}", "</tool_call>"])
THINKS = TableTokenizer(["<think>", "h", "m", "</think>", "yes"])


def with_template(tokenizer, more):
    tokenizer.template = more + TableTokenizer().template
    return tokenizer


@pytest.fixture
def calling(engine_of):
    """An engine whose model calls a tool."""
    return engine_of(tokens=[*range(258, 264), 257], tokenizer=with_template(HERMES, CALLS))


def deltas(said):
    return [event["choices"][0]["delta"] for event in said.events if event["choices"]]


async def test_a_call_is_told_whole_and_as_deltas(calling, served, client_of):
    body = {"messages": USER, "tools": [TOOL]}
    async with served(calling) as face:
        whole = await client_of(face.openai)("POST", CHAT, body)
        streamed = await client_of(face.openai)("POST", CHAT, {**body, "stream": True})
    choice = whole.json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]) == ("function", {"name": "look", "arguments": '{"at": "x"}'})
    told = [delta["tool_calls"][0] for delta in deltas(streamed) if "tool_calls" in delta]
    assert (told[0]["function"]["name"], told[0]["index"], told[0]["type"]) == ("look", 0, "function")
    assert told[0]["id"].startswith("call_")
    assert all("id" not in one for one in told[1:])
    assert "".join(one["function"]["arguments"] for one in told) == '{"at": "x"}'
    assert streamed.events[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert '"name": "look"' in calling.text(calling.requests[0].prompt)


async def test_without_tools_the_same_text_is_text(calling, served, client_of):
    async with served(calling) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER})
    message = said.json["choices"][0]["message"]
    assert message["content"].startswith("<tool_call>{")
    assert "tool_calls" not in message


async def test_a_model_whose_template_knows_no_tools_offers_none_and_refuses_them(engine_of, served, client_of):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, "tools": [TOOL]})
        offered = face.capabilities(frozenset({Capability.CHAT, Capability.TOOLS}))
    assert (said.status, said.json["error"]["param"]) == (400, "tools")
    assert offered == {Capability.CHAT, Capability.COMPLETIONS, Capability.CONTINUATION}


async def test_a_model_without_a_template_does_not_converse(engine_of, served, client_of):
    async with served(engine_of(tokenizer=TableTokenizer(["one"], template=None), words=["one"])) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER})
        completed = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x"})
    assert (said.status, said.json["error"]["param"]) == (400, "messages")
    assert completed.json["choices"][0]["text"] == "one"


async def test_reasoning_comes_apart_from_the_answer(engine_of, served, client_of):
    tokenizer = with_template(THINKS, "{# </think> #}")
    engine = engine_of(tokens=[*range(258, 263), 257], tokenizer=tokenizer)
    async with served(engine) as face:
        whole = await client_of(face.openai)("POST", CHAT, {"messages": USER})
        streamed = await client_of(face.openai)("POST", CHAT, {"messages": USER, "stream": True})
    message = whole.json["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm", "yes")
    assert whole.json["usage"]["completion_tokens_details"]["reasoning_tokens"] >= 2
    assert "".join(delta.get("reasoning_content", "") for delta in deltas(streamed)) == "hm"
    assert "".join(delta.get("content", "") for delta in deltas(streamed)) == "yes"


async def test_several_answers_come_with_their_index(engine_of, served, client_of):
    engine = engine_of()
    async with served(engine, slots=2) as face:
        whole = await client_of(face.openai)("POST", CHAT, {"messages": USER, "n": 3, "seed": 5})
        streamed = await client_of(face.openai)("POST", CHAT, {"messages": USER, "n": 2, "stream": True})
    assert [choice["index"] for choice in whole.json["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in whole.json["choices"]} == {"one two three"}
    assert whole.json["usage"] == {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30}
    assert [request.sampling.seed for request in engine.requests[:3]] == [5, 6, 7]
    texts = {0: "", 1: ""}
    ends = []
    for event in streamed.events:
        choice = event["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
        ends += [choice["index"]] if choice["finish_reason"] else []
    assert texts == {0: "one two three", 1: "one two three"}
    assert sorted(ends) == [0, 1]


async def test_several_prompts_are_answered_in_their_order(engine_of, served, client_of):
    engine = engine_of()
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", "/v1/completions", {"prompt": ["ab", "c"], "n": 2})
    assert [choice["index"] for choice in said.json["choices"]] == [0, 1, 2, 3]
    assert [len(request.prompt) for request in engine.requests] == [2, 2, 1, 1]
    assert said.json["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    ("cached", "details"),
    [
        ((1, 2, 2, 2, 0, 1), {"cached_tokens": 3}),
        ((None, 2, 2, 2, None, 1), {"cached_tokens": 2}),
        ((None, 2, None, 2, None, 1), None),
    ],
)
async def test_every_prompt_counts_once_whatever_it_is_and_however_many_answers_it_gets(
    engine_of, served, client_of, cached, details
):
    engine = engine_of()
    told = engine.event

    def event(request, at, finish):
        figure = cached[engine.requests.index(request)] if at == 0 else None
        return msgspec.structs.replace(told(request, at, finish), cached=figure)

    engine.event = event
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", "/v1/completions", {"prompt": ["ab", "ab", "c"], "n": 2})
    usage = said.json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 18)
    assert usage.get("prompt_tokens_details") == details


async def test_a_request_for_more_answers_than_may_wait_leaves_none_behind(engine_of, served, client_of):
    async with served(engine_of(), max_waiting=1) as face:
        refused = await client_of(face.openai)("POST", CHAT, {"messages": USER, "n": 5})
        answered = await client_of(face.openai)("POST", CHAT, {"messages": USER, "n": 2})
        status = await face.status()
    assert (refused.status, answered.status) == (503, 200)
    assert (status.slots_busy, status.queue_depth) == (0, 0)


async def test_log_probabilities_come_as_openai_has_them(engine_of, served, client_of):
    engine = engine_of()
    engine.capabilities = engine.capabilities | {Capability.LOGPROBS}
    told = engine.event

    def likely(request, at, finish):
        event = told(request, at, finish)
        top = ((event.token, -0.5), (65, float("-inf")))
        return msgspec.structs.replace(event, logprob=-0.5, top=top[: request.top_logprobs])

    engine.event = likely
    async with served(engine) as face:
        chat = await client_of(face.openai)("POST", CHAT, {"messages": USER, "logprobs": True, "top_logprobs": 2})
        alone = await client_of(face.openai)("POST", CHAT, {"messages": USER, "logprobs": True, "stream": True})
        old = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x", "logprobs": 1})
    content = chat.json["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == ["one", " two", " three"]
    assert content[0]["bytes"] == list(b"one")
    assert [(one["token"], one["logprob"]) for one in content[0]["top_logprobs"]] == [("one", -0.5), ("A", -9999.0)]
    streamed = [event["choices"][0]["logprobs"] for event in alone.events]
    assert sum(len(one["content"]) for one in streamed if one) == 3
    assert old.json["choices"][0]["logprobs"] == {
        "tokens": ["one", " two", " three"],
        "token_logprobs": [-0.5] * 3,
        "top_logprobs": [{"one": -0.5}, {" two": -0.5}, {" three": -0.5}],
        "text_offset": [0, 3, 7],
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"guided_regex": "a"}, "guided_regex"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"min_p": 0.5}, "min_p"),
    ],
)
async def test_what_the_engine_does_not_do_is_refused_and_never_dropped(engine_of, served, client_of, fields, param):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, **fields})
    assert (said.status, said.json["error"]["param"]) == (400, param)


async def test_structure_reaches_an_engine_that_keeps_to_it(engine_of, served, client_of):
    engine = engine_of(tokens=[*b'{"a": 1}', 257], tokenizer=TableTokenizer())
    engine.capabilities = engine.capabilities | {Capability.JSON_SCHEMA}
    told = engine.event

    def kept(request, at, finish):
        request.constraint.mask(engine.tokens[:at])
        return told(request, at, finish)

    engine.event = kept
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, "response_format": wanted})
        engine.tokens = [*b"no", 257]
        broken = await client_of(face.openai)("POST", CHAT, {"messages": USER, "response_format": wanted})
    assert json.loads(said.json["choices"][0]["message"]["content"]) == {"a": 1}
    assert (broken.status, broken.json["error"]["code"]) == (500, "worker_failed")


async def test_the_progress_of_a_prompt_is_told_to_who_asks(engine_of, served, client_of):
    async with served(engine_of()) as face:
        told = await client_of(face.openai)("POST", CHAT, {"messages": USER, "stream": True, "return_progress": True})
        untold = await client_of(face.openai)("POST", CHAT, {"messages": USER, "stream": True})
    first = told.events[0]
    assert first["choices"] == []
    assert {name: first["prompt_progress"][name] for name in ("total", "processed")} == {"total": 21, "processed": 21}
    assert not [event for event in untold.events if "prompt_progress" in event]


async def test_a_prompt_that_fills_the_context_is_refused_and_a_shorter_one_gets_what_is_left(
    engine_of, served, client_of
):
    engine = engine_of(tokens=[*b"a" * 5000], tokenizer=TableTokenizer())
    async with served(engine) as face:
        long = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x" * 4096})
        fits = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x" * 4090, "max_tokens": 99})
    assert (long.status, long.json["error"]["code"], long.json["error"]["param"]) == (
        400,
        "context_length_exceeded",
        "prompt",
    )
    assert fits.json["choices"][0]["text"] == "a" * 6
    assert fits.json["choices"][0]["finish_reason"] == "length"


async def test_tokens_beyond_the_vocabulary_are_refused(engine_of, served, client_of):
    engine = engine_of()
    engine.sampling = engine.sampling | {"logit_bias"}
    async with served(engine) as face:
        prompt = await client_of(face.openai)("POST", "/v1/completions", {"prompt": [1, 99_999]})
        bias = await client_of(face.openai)("POST", CHAT, {"messages": USER, "logit_bias": {"99999": 1}})
        empty = await client_of(face.openai)("POST", "/v1/completions", {"prompt": ""})
    assert [said.json["error"]["param"] for said in (prompt, bias, empty)] == ["prompt", "logit_bias", "prompt"]


async def test_the_end_of_an_answer_can_be_ignored(engine_of, served, client_of):
    engine = engine_of(tokens=[*b"ab", 257, *b"cd"], tokenizer=TableTokenizer())
    async with served(engine) as face:
        body = {"prompt": "x", "max_tokens": 5, "ignore_eos": True}
        said = await client_of(face.openai)("POST", "/v1/completions", body)
    assert said.json["choices"][0]["text"] == "abcd"
    assert said.json["usage"]["completion_tokens"] == 5
    assert [request.ignore_ends for request in engine.requests] == [True]


def endless():
    tokenizer = TableTokenizer(special=("<|im_start|>",))
    assert not tokenizer.ends
    return tokenizer


@pytest.mark.parametrize(
    "field", [{"response_format": {"type": "json_object"}}, {"structured_outputs": {"regex": "a+"}}]
)
async def test_a_model_without_any_end_cannot_be_held_to_a_form(engine_of, served, client_of, field):
    engine = engine_of(tokens=[*b"ab"], tokenizer=endless())
    engine.capabilities = engine.capabilities | {Capability.JSON_SCHEMA, Capability.GRAMMAR}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, **field})
        free = await client_of(face.openai)("POST", CHAT, {"messages": USER, "max_tokens": 2})
    assert said.status == 400
    assert "cannot hold its answers to a schema or grammar" in said.json["error"]["message"]
    assert free.status == 200


async def test_an_end_that_is_ignored_and_a_form_exclude_each_other(engine_of, served, client_of):
    engine = engine_of(tokens=[*b"ab", 257], tokenizer=TableTokenizer())
    engine.capabilities = engine.capabilities | {Capability.JSON_SCHEMA}
    body = {"messages": USER, "response_format": {"type": "json_object"}, "ignore_eos": True}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, body)
    assert (said.status, said.json["error"]["param"]) == (400, "ignore_eos")
    assert "'response_format'" in said.json["error"]["message"]


async def test_a_form_is_read_once_for_all_answers_to_a_request(engine_of, served, client_of, monkeypatch):
    read = []
    made = Grammars.json_schema
    monkeypatch.setattr(
        Grammars, "json_schema", lambda self, *args, **more: read.append(1) or made(self, *args, **more)
    )
    engine = engine_of(tokens=[*b"{}", 257], tokenizer=TableTokenizer())
    engine.capabilities = engine.capabilities | {Capability.JSON_SCHEMA}
    body = {"messages": USER, "response_format": {"type": "json_object"}, "n": 3}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, body)
    assert [choice["message"]["content"] for choice in said.json["choices"]] == ["{}"] * 3
    assert read == [1]
    assert len({id(request.constraint) for request in engine.requests}) == 3
