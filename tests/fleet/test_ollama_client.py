"""The official Ollama client against a real colony with a real model."""

import json
from collections.abc import Iterator

import ollama
import pytest
from fleet.conftest import PYTHON, SELF, user
from rbee.testing.colony import Colony

COLD = {"temperature": 0}


@pytest.fixture
def llama(shared_colony: Colony) -> Iterator[ollama.Client]:
    """The client, pointed at the shared colony."""
    with ollama.Client(shared_colony.queen_url, timeout=60) as found:
        yield found


@pytest.mark.parametrize(("question", "answer"), [PYTHON, SELF])
def test_a_chat_streamed_and_whole_gives_the_same_text_at_temperature_zero(llama, question, answer):
    whole = llama.chat("demo", user(question), options=COLD)
    pieces = list(llama.chat("demo", user(question), options=COLD, stream=True))
    assert whole.message.content == "".join(piece.message.content for piece in pieces) == answer
    assert len(pieces) > 3
    assert (pieces[-1].done, pieces[-1].done_reason) == (True, "stop")
    assert whole.eval_count == pieces[-1].eval_count > 5
    assert whole.prompt_eval_count > 5
    assert whole.total_duration > 0


def test_a_prompt_is_answered_and_a_raw_one_continued(llama):
    assert llama.generate("demo", SELF[0], options=COLD).response == SELF[1]
    raw = llama.generate("demo", "Python is", raw=True, options={"num_predict": 8, **COLD})
    assert (raw.eval_count, raw.done_reason) == (8, "length")


def test_a_schema_is_kept(llama):
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    answer = llama.chat("demo", user("?"), format=schema, options=COLD | {"num_predict": 64})
    assert isinstance(json.loads(answer.message.content)["yes"], bool)


def test_models_are_listed_and_those_that_are_loaded_run(llama):
    llama.generate("demo", "?", options=COLD | {"num_predict": 1})
    assert {"demo", "echo"} <= {model.model for model in llama.list().models}
    running = {model.model: model for model in llama.ps().models}
    assert running["demo"].context_length > 0
    shown = llama.show("demo")
    assert "completion" in shown.capabilities
    assert shown.modelinfo["rbee.context_length"] == running["demo"].context_length


def test_a_context_that_the_model_has_is_taken_and_a_larger_one_refused(llama):
    llama.chat("demo", user("?"), options={"num_ctx": 16, "num_predict": 1})
    with pytest.raises(ollama.ResponseError, match=r"options\.num_ctx") as refused:
        llama.chat("demo", user("?"), options={"num_ctx": 16_000_000})
    assert refused.value.status_code == 400


def test_an_unknown_model_is_not_found(llama):
    with pytest.raises(ollama.ResponseError, match="demi") as refused:
        llama.chat("demi", user("?"))
    assert refused.value.status_code == 404


def test_a_model_that_cannot_embed_says_so(llama):
    with pytest.raises(ollama.ResponseError) as refused:
        llama.embed("demo", "text")
    assert refused.value.status_code < 500


def test_the_queen_listens_on_a_port_for_clients_of_ollama(make_colony):
    colony = make_colony(**{"queen.ollama_port": "0"})
    url = json.loads((colony.home / "state" / "colony.json").read_text())["ollama_url"]
    assert url != colony.queen_url
    with ollama.Client(url, timeout=60) as client:
        assert client.chat("echo", user("hello there")).message.content == "hello there"
    assert colony.stop() == 0
