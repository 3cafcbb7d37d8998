"""Adapters, guessing ahead, ranking, pooling and grammars, with real models."""

import json

import pytest
from rbee.contract import Capability, ModelVariant, checked_options
from rbee.contract.errors import InvalidRequestError, ModelFileError
from rbee.testing.ggufs import adapter, reranker
from rbee.worker.served import ServedFace
from rbee_llamacpp import LlamaCppEngine
from rbee_llamacpp.options import Adapter, adapters

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
QUESTIONS = ("Who are you?", "What is Python?", "What can you do?")
WHO = "I am a tiny language model, made to test the software that runs me."


def options(**given):
    return checked_options(LlamaCppEngine.name, LlamaCppEngine.options, given)


@pytest.fixture
async def loaded(make_spec):
    """Loads a worker's door: ``await loaded(options(...), slots=1)``; with `anew` the earlier ones end first."""
    faces = []

    async def load(given=None, made_for=None, *, anew=False, **changes):
        while anew and faces:
            await faces.pop().stop()
        if made_for is not None:
            changes["variant"] = ModelVariant(
                model_id="v:m", name="m", vendor="v", format="gguf", capabilities=frozenset({made_for})
            )
        face = ServedFace(LlamaCppEngine(), make_spec(options=given or options(), **changes), "w", 2**20)
        faces.append(face)
        await face.start(lambda stage: None)
        return face

    yield load
    for face in faces:
        await face.stop()


def talk(question, **more):
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, **more}


async def text_of(ask, face, question, **more):
    said = await ask(face, CHAT, **talk(question, **more))
    assert said.status == 200, said.body
    return json.loads(said.body)["choices"][0]["message"]["content"]


async def test_documents_are_ranked_by_a_score_that_does_not_depend_on_their_order(ask, loaded, model, tmp_path):
    path = str(reranker(model, tmp_path / "rank.gguf"))
    face = await loaded(made_for=Capability.RERANK, model_path=path)
    documents = ["Python is a language.", "The weather in Paris is fine.", "x"]
    scores = {}
    for order in (documents, documents[::-1]):
        said = await ask(face, "/v1/rerank", query="What is Python?", documents=order)
        assert said.status == 200, said.body
        results = json.loads(said.body)["results"]
        assert [one["relevance_score"] for one in results] == sorted(
            (one["relevance_score"] for one in results), reverse=True
        )
        for one in results:
            scores.setdefault(order[one["index"]], []).append(one["relevance_score"])
    assert set(scores) == set(documents)
    assert len({round(one, 4) for one, _ in scores.values()}) == len(documents)
    assert all(one == pytest.approx(other, abs=1e-3) for one, other in scores.values())
    said = await ask(face, "/v1/rerank", query="What is Python?", documents=documents, top_n=1)
    assert len(json.loads(said.body)["results"]) == 1
    said = await ask(face, "/v1/rerank", query="What is Python?", documents=[])
    assert (said.status, "documents" in said.error["message"]) == (400, True)


async def test_a_model_whose_file_says_nothing_of_pooling_embeds_as_the_option_says(ask, loaded):
    found = {}
    for pooling in ("mean", "last"):
        face = await loaded(options(pooling=pooling), made_for=Capability.EMBEDDINGS)
        said = await ask(face, "/v1/embeddings", input="What is Python?")
        assert said.status == 200, said.body
        found[pooling] = json.loads(said.body)["data"][0]["embedding"]
    assert len(found["mean"]) == len(found["last"]) == 256
    assert found["mean"] != found["last"]


async def test_an_adapter_changes_what_is_said_as_much_as_its_scale_and_the_request_say(ask, loaded, model, tmp_path):
    path = adapter(model, tmp_path / "bent.gguf")
    bent = await loaded(options(lora=str(path)))
    said = await text_of(ask, bent, "Who are you?", max_tokens=24)
    assert said != WHO
    assert await text_of(ask, bent, "Who are you?", lora=[{"id": 0, "scale": 0}]) == WHO
    straight = await loaded(options(lora=f"{path}:0"))
    assert await text_of(ask, straight, "Who are you?") == WHO
    assert await text_of(ask, straight, "Who are you?", max_tokens=24, lora=[{"id": 0, "scale": 1}]) == said


async def test_no_request_is_computed_upon_what_other_scales_have_left(ask, loaded, model, tmp_path):
    face = await loaded(options(lora=str(adapter(model, tmp_path / "bent.gguf"))), slots=1)
    scales = {None: None, "none": [], "zero": [{"id": 0, "scale": 0}], "half": [{"id": 0, "scale": 0.5}]}
    alone = {}
    for name, lora in scales.items():
        alone[name] = await text_of(ask, face, "Who are you?", max_tokens=16, lora=lora, cache_prompt=False)
    assert alone[None] == alone["none"]
    assert len(set(alone.values())) == 3
    for first in scales.values():
        for name, lora in scales.items():
            await text_of(ask, face, "Who are you?", max_tokens=16, lora=first)
            assert await text_of(ask, face, "Who are you?", max_tokens=16, lora=lora) == alone[name]


async def test_a_conversation_that_is_kept_comes_back_with_its_adapters_too(ask, loaded, model, tmp_path):
    given = options(lora=str(adapter(model, tmp_path / "bent.gguf")), session_cache_mb=64)
    words = " ".join(f"word{number}" for number in range(220))
    body = talk(f"bees {words}", max_tokens=8, stream=True)
    cached, texts = [], []
    for _ in range(2):
        face = await loaded(given, anew=True, slots=1, keep_in=str(tmp_path / "kept"))
        said = await ask(face, CHAT, **body)
        events = [json.loads(line[6:]) for line in said.body.decode().splitlines() if line.startswith("data: {")]
        cached += [event["timings"]["cache_n"] for event in events if "timings" in event]
        texts.append(said.text)
    assert cached[0] == 0
    assert cached[1] > 500
    assert texts[0] == texts[1]
    with pytest.raises(InvalidRequestError, match="session_cache_mb"):
        await ask(face, CHAT, **talk("a", lora=[{"id": 0, "scale": 0}]))


async def test_a_model_in_place_of_an_adapter_is_told_by_the_option_and_not_as_a_broken_model(loaded, model):
    with pytest.raises(ModelFileError, match="of the option 'lora' cannot be loaded"):
        await loaded(options(lora=str(model)))


@pytest.mark.parametrize("lora", [[{"id": 1, "scale": 1}], [{"id": -1}], [{"scale": 1}], "all", [0]])
async def test_an_adapter_that_is_not_there_is_refused(ask, loaded, model, tmp_path, lora):
    face = await loaded(options(lora=str(adapter(model, tmp_path / "bent.gguf"))))
    with pytest.raises(InvalidRequestError, match="ids from 0 to 0") as caught:
        await ask(face, CHAT, **talk("Who are you?", lora=lora))
    assert caught.value.param == "lora"


async def test_where_no_adapters_are_loaded_a_request_for_one_is_refused(ask, loaded):
    with pytest.raises(InvalidRequestError) as caught:
        await ask(await loaded(), CHAT, **talk("Who are you?", lora=[{"id": 0, "scale": 1}]))
    assert caught.value.param == "lora"


def test_adapters_have_a_scale_behind_the_last_colon(make_spec, model, tmp_path):
    odd = tmp_path / "a:b.gguf"
    odd.write_bytes(model.read_bytes()[:100])
    given = f" {model} ,{odd}:-0.5,{odd}"
    found = adapters(make_spec(options=options(lora=given)))
    assert found == (Adapter(str(model)), Adapter(str(odd), -0.5), Adapter(str(odd)))


@pytest.mark.parametrize("name", ["lora", "draft_model"])
def test_a_file_that_will_not_do_is_refused_with_its_option_before_loading(engine, make_spec, tmp_path, name):
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"junk" * 100)
    for path, error, said in (
        ("beside.gguf", InvalidRequestError, "absolute"),
        (str(tmp_path / "none.gguf"), ModelFileError, "no such file"),
        (str(junk), ModelFileError, "letters GGUF"),
    ):
        with pytest.raises(error, match=said) as caught:
            engine.start(make_spec(options=options(**{name: path})), lambda stage: None)
        assert name in caught.value.message


def test_an_adapter_that_is_a_model_is_refused_with_the_librarys_words(engine, make_spec, model):
    with pytest.raises(ModelFileError, match="adapter"):
        engine.start(make_spec(options=options(lora=str(model))), lambda stage: None)


async def test_with_a_draft_model_greedy_answers_are_the_same_and_tokens_are_guessed(ask, loaded, model):
    plain = await loaded()
    helped = await loaded(options(draft_model=str(model), draft_max=6))
    for question in QUESTIONS:
        whole = await text_of(ask, plain, question, max_tokens=60)
        said = await ask(helped, CHAT, **talk(question, max_tokens=60, stream=True))
        assert said.text == whole
        assert '"draft_n_accepted":' in said.body.decode()


async def test_with_guesses_from_the_text_greedy_answers_are_the_same_and_tokens_are_guessed(ask, loaded):
    plain, helped = await loaded(), await loaded(options(ngram_draft=True))
    body = {"prompt": "Python is", "temperature": 0, "max_tokens": 400, "ignore_eos": True}
    one = json.loads((await ask(plain, PLAIN, **body)).body)
    other = await ask(helped, PLAIN, **body, stream=True)
    events = [json.loads(line[6:]) for line in other.body.decode().splitlines() if line.startswith("data: {")]
    text = "".join(choice["text"] for event in events for choice in event["choices"])
    # Tokens that are checked several at a time are the same but for the last digits: far on, two may be equally likely.
    assert text[:300] == one["choices"][0]["text"][:300]
    assert any(event.get("timings", {}).get("draft_n_accepted", 0) > 20 for event in events)


async def test_a_grammar_decides_what_may_be_said(ask, loaded):
    face = await loaded()
    grammar = 'root ::= "yes" | "no"'
    assert await text_of(ask, face, "Is Python a language?", grammar=grammar) in {"yes", "no"}
    said = await ask(face, PLAIN, prompt="Is it?", grammar=grammar, max_tokens=8)
    assert json.loads(said.body)["choices"][0]["text"] in {"yes", "no"}
    said = await ask(face, CHAT, **talk("Who are you?", grammar="root ::= nowhere"))
    assert said.status == 400


async def test_options_for_generating_leave_a_model_for_embeddings_alone(ask, loaded, tmp_path):
    given = options(pooling="mean", session_cache_mb=5, ngram_draft=True)
    face = await loaded(given, made_for=Capability.EMBEDDINGS, keep_in=str(tmp_path / "kept"))
    assert (await ask(face, "/v1/embeddings", input="a")).status == 200
    assert not (tmp_path / "kept").exists()
