"""The engine with a real model, on the processor."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from rbee.contract import Capability, Sampling
from rbee.contract.errors import EngineUnavailableError, ModelFileError
from rbee.worker.tokens.constraints import Grammars

from .conftest import chat

QUESTIONS = (
    "Who are you?",
    "What is Python?",
    "How do I open a file?",
    "What is a list?",
    "What is a dictionary?",
    "What does len do?",
    "Write a loop.",
    "What is an exception?",
)
LLAMA = """
import json, sys
from xllamacpp import CommonParams, Server
path, prompts = sys.argv[1], json.loads(sys.argv[2])
params = CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.verbosity = path, 2048, 1, -1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server, found = Server(params), []
for prompt in prompts:
    body = {"prompt": prompt, "max_tokens": 24, "temperature": 0, "cache_prompt": False}
    server.handle_completions(body, lambda answer: found.append(answer))
print(json.dumps([one["choices"][0]["text"] for one in found]))
"""


def test_greedy_answers_are_those_of_llama_cpp_from_the_same_weights(driver, models):
    pytest.importorskip("xllamacpp", reason="the answers are compared with llama.cpp's")
    one = driver()
    told = json.loads((models / "reference" / "greedy-transformers-f32.json").read_text())
    known = [b"".join(map(one.tokenizer.piece, answer["prompt_ids"])).decode() for answer in told.values()]
    # None of them comes to a point where two tokens are equally likely in half precision.
    prompts = [*map(chat, QUESTIONS), *known]
    done = subprocess.run(
        [sys.executable, "-c", LLAMA, str(models / "rbee-tiny-f16.gguf"), json.dumps(prompts)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours = [one.text(one.tokens(one.request(prompt))[0]) for prompt in prompts]
    assert ours == theirs


def test_greedy_tokens_are_those_of_transformers(driver, models):
    told = json.loads((models / "reference" / "greedy-transformers-f32.json").read_text())
    one = driver(options={"cache_mb": 0})
    for name, answer in told.items():
        # In half precision: as long as no two tokens are equally likely.
        wanted = answer["ids"][:24]
        assert one.tokens(one.request(answer["prompt_ids"]))[0] == wanted, name


def test_what_it_says_is_known(driver):
    one = driver()
    said = [
        one.text(tokens)
        for tokens in one.tokens(*[one.request(chat(question), max_tokens=40) for question in QUESTIONS[:2]])
    ]
    assert said == [
        "I am a tiny language model, made to test the software that runs me.",
        "Python is an interpreted, interactive, object-oriented programming language.",
    ]


def test_eight_requests_side_by_side_get_what_each_gets_alone(driver):
    one = driver(slots=8, options={"cache_mb": 0})
    alone = [one.tokens(one.request(chat(question)))[0] for question in QUESTIONS]
    together = one.tokens(*[one.request(chat(question)) for question in QUESTIONS])
    assert together == alone


def test_a_request_that_comes_late_joins_those_under_way(driver):
    one = driver(options={"cache_mb": 0})
    alone = one.tokens(one.request(chat(QUESTIONS[0])), one.request(chat(QUESTIONS[1])))
    early = one.request(chat(QUESTIONS[0]))
    one.engine.add(early)
    begun = [event.token for _ in range(6) for event in one.engine.step() if event.token is not None]
    assert begun
    late = one.request(chat(QUESTIONS[1]))
    one.engine.add(late)
    said = {early.request_id: begun, late.request_id: []}
    while len(said[late.request_id]) < len(alone[1]):
        for event in one.engine.step():
            if event.token is not None:
                said[event.request_id].append(event.token)
    assert said[late.request_id] == alone[1]
    assert said[early.request_id][: len(alone[0])] == alone[0][: len(said[early.request_id])]


def test_a_removed_request_is_gquestionwith_the_next_step_wherever_it_was(driver):
    one = driver(options={"chunk_tokens": 16})
    long = one.request([5] * 400, max_tokens=500)
    one.engine.add(long)
    (event,) = one.engine.step()
    assert event.prompt_done < 400
    one.engine.remove(long.request_id)
    assert not one.engine.step()
    spoken = one.request(chat(QUESTIONS[0]), max_tokens=500)
    one.engine.add(spoken)
    while not any(event.token is not None for event in one.engine.step()):
        pass
    one.engine.remove(spoken.request_id)
    assert not one.engine.step()
    assert one.engine.status().slots_busy == 0


def test_a_long_prompt_is_computed_in_chunks_and_does_not_hold_up_answers(driver):
    one = driver(options={"chunk_tokens": 16, "cache_mb": 0})
    spoken = one.request(
        chat(QUESTIONS[0]), max_tokens=100, sampling=Sampling(temperature=0, logit_bias={2: -100, 0: -100})
    )
    one.engine.add(spoken)
    while not any(event.token is not None for event in one.engine.step()):
        pass
    one.engine.add(one.request([5] * 200, max_tokens=2))
    meanwhile = 0
    told: list[int] = []
    while not told or told[-1] < 200:
        events = one.engine.step()
        meanwhile += sum(event.token is not None and event.request_id == spoken.request_id for event in events)
        told += [event.prompt_done for event in events if event.prompt_done is not None]
    assert told == sorted(told)
    assert meanwhile >= 10


def test_what_ended_requests_have_computed_is_not_computed_again(driver):
    one = driver(options={"chunk_tokens": 4096})
    prompt = chat(QUESTIONS[1])
    length = len(one.tokenizer.encode(prompt))
    first, again = one.run(one.request(prompt))[0], one.run(one.request(prompt))[0]
    assert [event.token for event in again] != []
    assert (first[0].cached, again[0].cached) == (0, length - 1)
    assert [event.token for event in first if event.token] == [event.token for event in again if event.token]
    said = one.text([event.token for event in first if event.token is not None])
    longer = f"{prompt}{said}<|im_end|>\n" + chat("And what is a list?")
    (events,) = one.run(one.request(longer))
    assert events[0].cached > length
    cold = driver(options={"cache_mb": 0})
    assert [event.token for event in events if event.token] == [
        token for token in cold.tokens(cold.request(longer))[0] if token
    ]
    other = f"{prompt}Something else"
    assert one.run(one.request(other))[0][0].cached >= length - 1


def test_the_cache_is_bounded_and_can_be_switched_off(driver):
    one = driver(options={"cache_mb": 1})
    for number in range(6):
        one.tokens(one.request([10 + number] * 200, max_tokens=2))
    kept = one.engine._batch._kept
    assert 0 < kept.size_bytes <= 1024 * 1024
    assert len(kept) < 6
    off = driver(options={"cache_mb": 0})
    assert [off.run(off.request(chat(QUESTIONS[0])))[0][0].cached for _ in range(2)] == [0, 0]


def test_the_same_seed_draws_the_same_whatever_runs_beside_it(driver):
    one = driver(slots=4, options={"cache_mb": 0})
    hot = Sampling(temperature=1.2, top_p=0.95, top_k=50, min_p=0.01, seed=7)
    asked = one.request(chat(QUESTIONS[2]), sampling=hot)
    alone = one.tokens(asked)[0]
    others = [one.request(chat(QUESTIONS[2]), sampling=Sampling(temperature=1.2, seed=seed)) for seed in (8, 9)]
    beside = one.tokens(one.request(chat(QUESTIONS[2]), sampling=hot), *others)
    assert beside[0] == alone
    assert len({tuple(tokens) for tokens in beside}) == 3


def test_parameters_do_what_they_say(driver):
    one = driver()
    plain = one.tokens(one.request(chat(QUESTIONS[1])))[0]
    forbidden = one.tokens(
        one.request(chat(QUESTIONS[1]), sampling=Sampling(temperature=0, logit_bias={plain[0]: -100}))
    )[0]
    assert plain[0] not in forbidden
    wanted = one.tokens(
        one.request(chat(QUESTIONS[1]), max_tokens=3, sampling=Sampling(temperature=0, logit_bias={300: 100}))
    )[0]
    assert wanted == [300] * 3
    rare = Sampling(temperature=0, logit_bias={300: 10}, frequency_penalty=2)
    assert 0 < one.tokens(one.request(chat(QUESTIONS[1]), max_tokens=12, sampling=rare))[0].count(300) < 12
    narrow = Sampling(temperature=2, top_k=1, seed=3)
    assert one.tokens(one.request(chat(QUESTIONS[1]), sampling=narrow))[0] == plain
    nucleus = Sampling(temperature=2, top_p=1e-6, seed=3)
    assert one.tokens(one.request(chat(QUESTIONS[1]), sampling=nucleus))[0] == plain


def test_log_probabilities_are_the_model_s_own_whatever_changes_the_draw(driver):
    one = driver(options={"cache_mb": 0})
    plain = one.run(one.request(chat(QUESTIONS[1]), max_tokens=4, top_logprobs=2048))[0]
    told = [event for event in plain if event.token is not None]
    for event in told:
        assert sum(math.exp(logprob) for _, logprob in event.top) == pytest.approx(1, abs=1e-3)
        assert event.top[0] == (event.token, event.logprob)
    biased = Sampling(temperature=0, logit_bias={300: 100})
    (events,) = one.run(one.request(chat(QUESTIONS[1]), max_tokens=1, top_logprobs=1, sampling=biased))
    (first,) = [event for event in events if event.token is not None]
    assert first.token == 300
    assert first.top[0][0] == told[0].token
    assert first.logprob == pytest.approx(dict(told[0].top)[300], abs=1e-3)


def test_json_keeps_to_its_schema(driver):
    one = driver(slots=3)
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Python", "C"]}, "year": {"type": "integer", "minimum": 1, "maximum": 9999}},
        "required": ["name", "year"],
        "additionalProperties": False,
    }
    grammars = Grammars(one.tokenizer)
    requests = [
        one.request(
            chat(QUESTIONS[1]), max_tokens=60, constraint=grammars.json_schema(schema, param="p"), sampling=sampling
        )
        for sampling in (Sampling(temperature=0), Sampling(temperature=1.5, seed=1), Sampling(temperature=1.5, seed=2))
    ]
    for tokens in one.tokens(*requests):
        said = json.loads(one.text(tokens))
        assert set(said) == {"name", "year"}


def test_the_context_is_the_model_s_or_what_was_asked(driver, make_spec):
    assert driver().model.context_length == 2048
    assert driver(context_length=512).model.context_length == 512
    assert driver(context_length=9999).model.context_length == 2048


def test_other_devices_are_refused(make_spec):
    from rbee_mlx import MlxEngine

    with pytest.raises(EngineUnavailableError, match="cannot drive 'GPU-1' by cuda"):
        MlxEngine().load(make_spec(device="GPU-1", backend="cuda"), lambda stage: None)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_part_is_refused_with_its_name(make_spec, models, tmp_path, missing):
    from rbee_mlx import MlxEngine

    for file in (models / "hf").iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ModelFileError, match=r"holds no model: it has no .* Fetch the model again"):
        MlxEngine().load(make_spec(model_path=str(tmp_path)), lambda stage: None)


def test_weights_that_are_cut_off_or_of_another_kind_are_refused(make_spec, models, tmp_path):
    from rbee_mlx import MlxEngine

    for file in (models / "hf").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match=tmp_path.name):
        MlxEngine().load(make_spec(model_path=str(tmp_path)), lambda stage: None)
    (tmp_path / "model.safetensors").write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "no-such-model"}))
    with pytest.raises(ModelFileError, match="no-such-model"):
        MlxEngine().load(make_spec(model_path=str(tmp_path)), lambda stage: None)


def test_importing_the_plugin_does_not_import_the_library():
    code = "import rbee_mlx, sys; print([name for name in sys.modules if name.split('.')[0] in ('mlx', 'mlx_lm')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_it_offers_what_the_host_can_do_with_tokens():
    from rbee_mlx import MlxEngine

    assert {Capability.TOOLS, Capability.JSON_SCHEMA, Capability.LOGPROBS} <= MlxEngine.capabilities
