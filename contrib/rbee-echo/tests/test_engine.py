from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rbee.contract import LoadSpec, TokenRequest
from rbee.contract.errors import ModelFileError
from rbee_echo.engine import EXIT_CODE_OF_DEATH, EchoEngine
from rbee_echo.vendor import EchoVendor
from rbee_echo.words import WordTokenizer

TOKENIZER = WordTokenizer()


def loaded(ref="echo", **fields):
    (variant,) = EchoVendor().resolve(ref)
    engine = EchoEngine()
    engine.load(LoadSpec(model_id=variant.model_id, model_path=None, variant=variant, **fields), lambda stage: None)
    return engine


def request(prompt, request_id="r"):
    return TokenRequest(request_id=request_id, prompt=tuple(TOKENIZER.encode(prompt)), max_tokens=4000)


def chat(text, request_id="r", said=""):
    return request(f"<|system|>be brief<|end|><|user|>{text}<|end|><|assistant|>{said}", request_id)


def events_of(engine, request):
    engine.add(request)
    events = []
    while not events or events[-1].finish is None:
        events.extend(engine.step())
    return events


def words_of(events):
    return [TOKENIZER.piece(event.token).decode() for event in events if event.token is not None]


def text_of(engine, request):
    return "".join(words_of(events_of(engine, request)))


def test_it_answers_the_last_user_message_word_by_word():
    events = events_of(loaded(), chat("Grüße an\n  dich"))
    assert words_of(events) == ["Grüße", " an", "\n  dich"]
    assert [event.finish for event in events] == [None, None, "stop"]
    assert [event.prompt_done for event in events] == [10, None, None]


def test_it_continues_a_prompt_by_repeating_it():
    assert text_of(loaded(), request("once upon")) == "once upon"


def test_an_empty_message_is_answered_with_nothing():
    events = events_of(loaded(), chat(""))
    assert [(event.token, event.finish) for event in events] == [(None, "stop")]


def test_the_context_is_what_was_asked_for_up_to_its_own():
    (variant,) = EchoVendor().resolve("echo")
    for asked, context in ((None, 4096), (10, 10), (9999, 4096)):
        spec = LoadSpec(model_id=variant.model_id, model_path=None, variant=variant, context_length=asked)
        assert EchoEngine().load(spec, lambda stage: None).context_length == context


def test_the_length_of_answers_can_be_set():
    assert text_of(loaded("echo:long?tokens=5"), chat("a b")) == "a b a b a"
    assert text_of(loaded("echo:long?tokens=2"), chat("")) == "echo echo"


def test_several_requests_advance_together_up_to_the_slots():
    engine = loaded(slots=2)
    engine.add(chat("a b", "1"))
    engine.add(chat("c d", "2"))
    assert engine.status().slots_busy == 2
    with pytest.raises(RuntimeError):
        engine.add(chat("e", "3"))
    assert words_of(engine.step()) == ["a", "c"]
    engine.remove("1")
    engine.remove("1")
    assert [event.request_id for event in engine.step()] == ["2"]
    assert engine.status().slots_busy == 0
    assert engine.status().tokens_generated == 3


def test_it_can_fail_to_load():
    with pytest.raises(ModelFileError, match="fail=load"):
        loaded("echo:bad?fail=load")


def test_it_can_raise_in_mid_answer():
    engine = loaded("echo:bad?fail=step&tokens=2")
    engine.add(chat("a"))
    assert words_of([engine.step()[0], engine.step()[0]]) == ["a", " a"]
    with pytest.raises(RuntimeError, match="fail=step"):
        engine.step()


def test_it_can_take_its_process_with_it():
    code = (
        "from test_engine import chat, loaded\n"
        "engine = loaded('echo:bad?fail=die&tokens=1'); engine.add(chat('x'))\n"
        "engine.step(); print('spoke', flush=True); engine.step(); print('survived')"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (EXIT_CODE_OF_DEATH, b"spoke\n")


@pytest.mark.parametrize(
    ("said", "rest"),
    [("a", " b c"), ("a b", " c"), ("a b c", ""), ("a bb", ""), ("", "a b c")],
)
def test_it_goes_on_behind_what_has_been_said(said, rest):
    assert text_of(loaded(), chat("a b c" if "bb" not in said else "a bb", said=said)) == rest
