"""The official OpenAI client against a real colony with a real model."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from fleet.conftest import PYTHON, SELF, sdk, text_of, user


@pytest.mark.parametrize(("question", "answer"), [PYTHON, SELF])
def test_a_chat_streamed_and_whole_gives_the_same_text_at_temperature_zero(client, question, answer):
    asked = {"model": "demo", "messages": user(question), "temperature": 0}
    whole = client.chat.completions.create(**asked)
    streamed = text_of(client.chat.completions.create(**asked, stream=True))
    assert whole.choices[0].message.content == streamed == answer
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.completion_tokens > 5


def test_a_streamed_chat_comes_in_pieces_and_tells_its_usage_when_asked(client):
    stream = client.chat.completions.create(
        model="demo",
        messages=user(PYTHON[0]),
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) > 3
    assert chunks[-1].usage.total_tokens > 5


def test_completions_continue_a_prompt(client):
    asked = {"model": "demo", "prompt": "Python is", "max_tokens": 8, "temperature": 0}
    whole = client.completions.create(**asked)
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True))
    assert whole.choices[0].text == streamed
    assert whole.usage.completion_tokens == 8


def test_a_response_streamed_and_whole_has_the_same_text_at_temperature_zero(client):
    asked = {"model": "demo", "input": PYTHON[0], "temperature": 0, "store": False}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text == PYTHON[1]
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 5
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**(asked | {"store": True}))
    assert refused.value.param == "store"


def test_the_list_of_models_has_what_can_be_asked_for(client):
    listed = {model.id for model in client.models.list()}
    assert {"demo", "echo"} <= listed
    assert client.models.retrieve("demo").id == "demo"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="demi", messages=user("?"))
    assert caught.value.param == "model"
    assert "'demo'" in caught.value.body["message"], "a near name is suggested"


def test_the_api_answers_under_the_openai_prefix_too(shared_colony):
    with sdk(shared_colony, "/openai") as prefixed:
        answer = prefixed.chat.completions.create(model="demo", messages=user(SELF[0]), temperature=0)
        assert answer.choices[0].message.content == SELF[1]
        assert "demo" in {model.id for model in prefixed.models.list()}


def test_six_first_requests_at_once_load_the_model_once(shared_colony, client):
    def ask(number):
        return client.chat.completions.create(model="echo:six?load_s=0.5", messages=user(f"number {number}"))

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(ask, range(6)))
    assert [answer.choices[0].message.content for answer in answers] == [f"number {n}" for n in range(6)]
    assert shared_colony.worker("echo:six?load_s=0.5")["state"] == "ready", "and there is exactly one"


def test_more_requests_than_slots_wait_their_turn(client):
    def ask(number):
        return client.chat.completions.create(model="echo:queue?delay_ms=20", messages=user(f"a b c {number}"))

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(ask, range(10)))
    assert [answer.choices[0].message.content for answer in answers] == [f"a b c {n}" for n in range(10)]


def test_a_bad_parameter_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="echo", messages=[])
