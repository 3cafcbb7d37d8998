"""The official Anthropic client against a real colony with a real model."""

from collections.abc import Iterator

import anthropic
import pytest
from fleet.conftest import PYTHON, SELF, user
from rbee.testing.colony import Colony, eventually

COLD = {"temperature": 0}
"""The client has no argument for it; the API does."""


def prompt_tokens(message: anthropic.types.Message) -> int:
    """Tokens of a prompt, those from a cache included."""
    return message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)


@pytest.fixture
def claude(shared_colony: Colony) -> Iterator[anthropic.Anthropic]:
    """The SDK, pointed at the shared colony."""
    with anthropic.Anthropic(base_url=shared_colony.queen_url, api_key="unused", max_retries=0, timeout=60) as found:
        yield found


@pytest.mark.parametrize(("question", "answer"), [PYTHON, SELF])
def test_a_message_streamed_and_whole_has_the_same_text_at_temperature_zero(claude, question, answer):
    asked = {"model": "demo", "max_tokens": 64, "messages": user(question), "extra_body": COLD}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
        streamed = stream.get_final_message()
    assert whole.content[0].text == "".join(pieces) == streamed.content[0].text == answer
    assert len(pieces) > 3
    assert whole.stop_reason == streamed.stop_reason == "end_turn"
    assert whole.usage.input_tokens > 5
    assert prompt_tokens(whole) == prompt_tokens(streamed)
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 5


def test_a_limit_of_tokens_is_told(claude):
    message = claude.messages.create(model="demo", max_tokens=3, messages=user(PYTHON[0]), extra_body=COLD)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


def test_the_system_prompt_reaches_the_model(claude):
    asked = {"model": "echo", "max_tokens": 64, "messages": user("a b c")}
    alone = claude.messages.create(**asked)
    told = claude.messages.create(**asked, system="one two three four")
    assert prompt_tokens(told) > prompt_tokens(alone)


def test_a_tool_is_called_with_what_its_schema_says_and_its_result_is_taken(claude):
    schema = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo"]}}, "required": ["city"]}
    asked = {
        "model": "demo",
        "max_tokens": 200,
        "tools": [{"name": "weather", "description": "Weather of a city.", "input_schema": schema}],
        "extra_body": COLD,
    }
    question = user("What is the weather in Oslo?")
    with claude.messages.stream(**asked, messages=question, tool_choice={"type": "any"}) as stream:
        message = stream.get_final_message()
    call = message.content[-1]
    assert (message.stop_reason, call.type, call.name, call.input) == (
        "tool_use",
        "tool_use",
        "weather",
        {"city": "Oslo"},
    )
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "3 degrees"}
    turn = [*question, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    after = claude.messages.create(**asked, messages=turn, tool_choice={"type": "none"})
    assert prompt_tokens(after) > prompt_tokens(message)


def test_what_cannot_be_carried_out_is_a_bad_request_that_names_it(claude):
    with pytest.raises(anthropic.BadRequestError, match="'thinking'"):
        claude.messages.create(
            model="demo",
            max_tokens=2048,
            messages=user("?"),
            thinking={"type": "enabled", "budget_tokens": 1024},
        )
    with pytest.raises(anthropic.BadRequestError, match="tools"):
        claude.messages.create(
            model="echo",
            max_tokens=9,
            messages=user("?"),
            tools=[{"name": "weather", "input_schema": {"type": "object"}}],
            tool_choice={"type": "any"},
        )


def test_an_unknown_model_is_not_found(claude):
    with pytest.raises(anthropic.NotFoundError, match="demo"):
        claude.messages.create(model="demi", max_tokens=9, messages=user("?"))


def test_a_stream_that_is_closed_frees_its_slot(claude, shared_colony):
    model = "echo:slow-door?delay_ms=50"
    with claude.messages.create(model=model, max_tokens=500, messages=user("word " * 200), stream=True) as stream:
        next(event for event in stream if event.type == "content_block_delta")
        assert shared_colony.worker(model)["slots_available"] is not None
    eventually(
        lambda: shared_colony.worker(model)["slots_available"] == shared_colony.worker(model)["slots_total"], within=10
    )
