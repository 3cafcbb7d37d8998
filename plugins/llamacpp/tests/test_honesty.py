"""Through the worker's own door: what llama.cpp's server would drop, cut short or refuse in words of its own."""

import json

import pytest
from rbee.contract import Capability, ModelVariant
from rbee.contract.errors import InvalidRequestError
from rbee.testing.ggufs import pooled
from rbee.worker.served import ServedFace
from rbee_llamacpp import LlamaCppEngine
from rbee_llamacpp.refusals import IGNORED, refusal

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "What is Python?"}]
WHOLE = "Python is an interpreted, interactive, object-oriented programming language."


@pytest.fixture
async def face(make_spec):
    made = ServedFace(LlamaCppEngine(), make_spec(slots=1, context_length=256), "w", 2**20)
    await made.start(lambda stage: None)
    yield made
    await made.stop()


async def test_a_prompt_over_the_context_is_refused_with_both_figures(ask, face):
    chat = await ask(face, CHAT, messages=[{"role": "user", "content": "word " * 600}], stream=True)
    assert (chat.status, chat.error["code"], chat.error["param"]) == (400, "context_length_exceeded", "messages")
    assert chat.error["details"]["context_length"] == 256
    assert str(chat.error["details"]["prompt_tokens"]) in chat.error["message"]
    plain = await ask(face, PLAIN, prompt="word " * 600)
    assert (plain.status, plain.error["code"], plain.error["param"]) == (400, "context_length_exceeded", "prompt")


async def test_an_answer_that_fills_the_context_ends_for_its_length(ask, face):
    said = await ask(face, PLAIN, prompt="Return the list of", ignore_eos=True)
    found = json.loads(said.body)
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["total_tokens"] == 256


@pytest.mark.parametrize("name", sorted(IGNORED))
async def test_what_the_server_would_drop_is_refused_by_name(ask, face, name):
    with pytest.raises(InvalidRequestError) as caught:
        await ask(face, CHAT, messages=USER, **{name: 3})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("more", "param"),
    [({"n": 2}, "n"), ({"temperature": "hot"}, "temperature"), ({"top_logprobs": 2}, "top_logprobs")],
)
async def test_what_the_server_refuses_names_the_parameter(ask, face, more, param):
    said = await ask(face, CHAT, messages=USER, **more)
    assert (said.status, said.error["type"], said.error["param"]) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages"),
        ({"tools": [{"type": "function", "function": {"name": "g"}}], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": "x"}, "tools"),
        ({"tools": [{}]}, "tools"),
        ({"messages": [{"content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        (
            {
                "messages": [
                    *USER,
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "a", "type": "function", "function": {"name": "g", "arguments": "{nope"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "a", "content": "5"},
                ]
            },
            "messages",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_server_calls_its_own_fault_or_does_not_name_is_told_with_the_parameter(
    ask, face, more, param, stream
):
    said = await ask(face, CHAT, **{"messages": USER, **more}, stream=stream)
    assert (said.status, said.error["type"], said.error["param"]) == (400, "invalid_request_error", param)


TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": []}, "messages"),
        ({"stop": {"at": "the end"}}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"grammar": 3}, "grammar"),
        ({"json_schema": [1]}, "json_schema"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": [1]}}}, "response_format.json_schema"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}}, "tool_choice"),
    ],
)
async def test_what_the_server_would_overlook_is_refused_by_name(ask, face, more, param):
    with pytest.raises(InvalidRequestError) as caught:
        await ask(face, CHAT, **{"messages": USER, **more})
    assert caught.value.param == param


async def test_a_tool_that_is_chosen_by_name_is_the_one_that_is_called(ask, face):
    chosen = {"type": "function", "function": {"name": "get_time"}}
    weather = [{"role": "user", "content": "What is the weather in Paris?"}]
    said = await ask(face, CHAT, messages=weather, tools=TOOLS, tool_choice=chosen, temperature=0, max_tokens=100)
    (choice,) = json.loads(said.body)["choices"]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["get_time"]


@pytest.mark.parametrize("more", [{}, {"prompt": None}, {"prompt": []}, {"prompt": [99999999]}])
async def test_a_prompt_that_will_not_do_is_named(ask, face, more):
    said = await ask(face, PLAIN, **more)
    assert (said.status, said.error["type"], said.error["param"]) == (400, "invalid_request_error", "prompt")


async def test_what_it_offers_passes_through(ask, face):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = await ask(face, CHAT, messages=USER, response_format=form, seed=1, max_tokens=40)
    assert isinstance(json.loads(json.loads(said.body)["choices"][0]["message"]["content"])["a"], int)
    said = await ask(face, CHAT, messages=USER, logprobs=True, top_logprobs=2, max_tokens=2)
    assert len(json.loads(said.body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2
    said = await ask(face, PLAIN, prompt="a", grammar='root ::= "yes"', max_tokens=8)
    assert json.loads(said.body)["choices"][0]["text"] == "yes"


@pytest.mark.parametrize("at", [12, 31])
async def test_an_answer_that_has_begun_goes_on_where_it_stopped(ask, face, at):
    said = await ask(
        face,
        CHAT,
        messages=[*USER, {"role": "assistant", "content": WHOLE[:at]}],
        continue_final_message=True,
        add_generation_prompt=False,
        temperature=0,
        stream=True,
    )
    assert said.text == WHOLE[at:]


async def test_a_model_made_for_embeddings_embeds(ask, make_spec, model, tmp_path):
    made_for = frozenset({Capability.EMBEDDINGS})
    variant = ModelVariant(model_id="v:e", name="e", vendor="v", format="gguf", capabilities=made_for)
    path = str(pooled(model, tmp_path / "pooled.gguf"))
    face = ServedFace(LlamaCppEngine(), make_spec(slots=1, variant=variant, model_path=path), "w", 2**20)
    await face.start(lambda stage: None)
    try:
        said = await ask(face, "/v1/embeddings", input=["What is Python?", "Who are you?"])
    finally:
        await face.stop()
    one, two = json.loads(said.body)["data"]
    assert len(one["embedding"]) == len(two["embedding"]) > 10
    assert one["embedding"] != two["embedding"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 5}', b'{"error": {"message": "what"}}', b"\xff"])
def test_a_refusal_in_strange_words_is_passed_on(body):
    assert refusal(CHAT, body) is None
