"""Loads: options, lengths, memory, failures, and what goes to each library."""

from __future__ import annotations

import os
from importlib import metadata

import pytest
from rbee.contract import Backend, DeviceShare
from rbee.contract.errors import (
    EngineUnavailableError,
    InsufficientMemoryError,
    InvalidRequestError,
    ModelFileError,
)
from rbee_exllamav2.failure import importing

V2 = pytest.mark.parametrize("which", ["exllamav2"], indirect=True)
V3 = pytest.mark.parametrize("which", ["exllamav3"], indirect=True)


@pytest.fixture
def load(engine_class, fake, make_spec):
    """Loads with options and changes; gives the engine, with `model`, `told` and `generator`."""

    def load(options=None, **changes):
        made = engine_class()
        made.told = []
        made.model = made.load(make_spec(options, **changes), made.told.append)
        made.generator = made._generation.generator
        return made

    return load


def cache_tokens(engine):
    cache = engine.generator.cache
    return getattr(cache, "max_seq_len", None) or cache.max_num_tokens


@pytest.mark.parametrize(
    ("changes", "context", "cache"),
    [
        ({"slots": 3, "context_length": 500}, 500, 3 * 512),
        ({"slots": 1, "context_length": None}, 2048, None),
        ({"slots": 1, "context_length": 9999}, 2048, None),
        ({"slots": 1, "options": {"cache_tokens": 4096}, "context_length": 700}, 700, 4096),
        ({"slots": 8, "options": {"cache_tokens": 256}, "context_length": 700}, None, 256),
    ],
)
def test_context_and_cache_follow_from_what_is_asked_and_what_the_model_can(load, which, changes, context, cache):
    engine = load(**changes)
    spare = 1 if which == "exllamav3" else 0
    assert engine.model.context_length == (256 - spare if context is None else context)
    assert cache_tokens(engine) == ((2304 if spare else 2048) if cache is None else cache)


def test_a_request_of_the_whole_context_fits_every_slot(load):
    from test_adapter import drive, request

    engine = load(slots=3, context_length=512)
    for name in "abc":
        engine.add(request(name, prompt=[1] * 500, max_tokens=12))
    events = drive(engine, *"abc")
    assert [len([one for one in events[name] if one.token is not None]) for name in "abc"] == [12, 12, 12]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cache_tokens": 300}, "takes multiples of 256, and 300 is none; try 512"),
        ({"gpus": "1,2"}, "leaves out GPU-0, the worker's own device; add 0"),
        ({"gpus": "0,zero"}, "takes numbers with commas between them"),
        ({"gpus": "0,0"}, "takes numbers with commas between them"),
        ({"gpu_split": "20,24"}, "has 2 numbers for 1 GPUs; give one for each"),
        ({"gpu_split": "-1"}, "takes numbers with commas between them"),
        ({"cache_type": "Q5"}, "takes one of 'FP16', 'Q8', 'Q6', 'Q4'"),
        ({"draft_tokens": 8}, "from 1 to 7"),
        ({"speed": 1}, "has no option 'speed'"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(load, options, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        load(options)
    assert caught.value.param == f"options.{next(iter(options))}"


@V2
@pytest.mark.parametrize("cache_type", ["FP16", "Q8", "Q6", "Q4"])
def test_the_cache_is_of_the_type_asked_for(load, fake, cache_type):
    engine = load({"cache_type": cache_type})
    name = "ExLlamaV2Cache" if cache_type == "FP16" else f"ExLlamaV2Cache_{cache_type}"
    assert type(engine.generator.cache).__name__ == name
    assert engine.generator.model.loaded == ("auto",)


@V3
@pytest.mark.parametrize(("cache_type", "bits"), [("FP16", {}), ("Q6", {"k_bits": 6, "v_bits": 6})])
def test_the_cache_has_the_bits_asked_for(load, fake, cache_type, bits):
    cache = load({"cache_type": cache_type}).generator.cache
    assert cache.bits == bits
    assert cache.layer_type.__name__ == ("CacheLayer_quant" if bits else "CacheLayer_fp16")


def test_a_model_can_be_spread_over_several_cards(load, which):
    engine = load({"gpus": "1,0", "gpu_split": "20.5,24"})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"
    loaded = engine.generator.model.loaded
    if which == "exllamav2":
        assert loaded == ("split", [20.5, 24.0])
    else:
        assert loaded == {"use_per_device": [20.5, 24.0], "tensor_p": False, "max_batch_size": 2}


GIB = 2**30
SHARES = (DeviceShare(device="GPU-2", memory_bytes=24 * GIB), DeviceShare(device="GPU-0", memory_bytes=12 * GIB))


def test_a_worker_on_several_cards_keeps_to_its_share_of_each(load, which, fake):
    fake.torch.cuda.total_memory = 48 * GIB
    engine = load(device="GPU-2", devices=SHARES, memory_bytes=36 * GIB)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,0"
    assert fake.torch.cuda.fractions == {0: 0.5, 1: 0.25}
    loaded = engine.generator.model.loaded
    if which == "exllamav2":
        assert loaded == ("auto",), "it fills one card after the other, up to these limits"
    else:
        assert loaded["use_per_device"] == [24.0, 12.0]


def test_what_a_person_says_of_the_split_goes_before_the_shares(load, which):
    loaded = load({"gpu_split": "20,16"}, device="GPU-2", devices=SHARES).generator.model.loaded
    assert (loaded["use_per_device"] if which == "exllamav3" else loaded[1]) == [20.0, 16.0]


def test_tensors_are_split_by_the_shares(load, which):
    loaded = load({"tensor_parallel": True}, device="GPU-2", devices=SHARES).generator.model.loaded
    assert (loaded["use_per_device"] if which == "exllamav3" else loaded[1]) == [24.0, 12.0]


def test_cards_of_the_worker_cannot_be_left_out(load):
    with pytest.raises(InvalidRequestError, match="leaves out GPU-0, the worker's own device; add 0"):
        load({"gpus": "1,2"}, device="GPU-2", devices=SHARES)


def test_both_engines_say_that_they_spread_a_model_over_cards(engine_class):
    assert engine_class.info().splits == (Backend.CUDA,)


def test_layers_can_be_split_over_cards(load, which, fake):
    engine = load({"gpus": "0,1", "tensor_parallel": True, "cache_type": "Q4"})
    loaded = engine.generator.model.loaded
    if which == "exllamav2":
        kind = fake.module.ExLlamaV2Cache_Q4
        assert loaded == ("tensor", None, 1024, kind)
        assert (type(engine.generator.cache).__name__, engine.generator.cache.base) == ("ExLlamaV2Cache_TP", kind)
    else:
        assert loaded["tensor_p"]


def test_a_draft_model_guesses_and_answers_stay_the_same(load, make_model):
    from test_adapter import drive, request, tokens_of
    from toy import toy_answer

    draft = make_model("draft", 1024)
    engine = load({"draft_model": str(draft), "draft_tokens": 3}, context_length=None, slots=1)
    assert engine.model.context_length == 1024 - 3
    assert engine.generator.guesses == 3
    for count in (1, 4, 5, 10):
        engine.add(request(max_tokens=count))
        events = drive(engine, "a")["a"]
        assert tokens_of(events) == toy_answer([5], count, 257)
        assert events[-1].finish == "length"
    assert len([stage for stage in engine.told if stage.startswith("loading the draft model")]) > 2
    engine.add(request(prompt=[1] * 1000, max_tokens=21))
    assert drive(engine, "a")["a"][-1].finish == "length"


@V2
def test_constraints_are_kept_while_a_draft_model_guesses(load, make_model):
    from test_adapter import Only, drive, request, tokens_of

    engine = load({"draft_model": str(make_model("draft", 1024))})
    only = Only(10, 200, 31, 32, 256)
    engine.add(request(constraint=only, max_tokens=50))
    assert tokens_of(drive(engine, "a")["a"]) == [10, 200, 31, 32, 256]
    assert only.asked == [0, 1, 2, 3, 4]


def test_a_draft_model_that_is_none_is_refused(load, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"has no 'config\.json'"):
        load({"draft_model": str(tmp_path / "empty")})


def test_memory_is_bounded_by_what_the_hive_gives(load, fake):
    load(memory_bytes=250, device="GPU-1", options={"gpus": "0,1"})
    assert fake.torch.cuda.fraction == (0.25, 1)
    load(memory_bytes=5000)
    assert fake.torch.cuda.fraction == (1.0, 0)


def test_a_file_of_the_model_stands_for_its_folder(load, folder):
    assert load(model_path=str(folder / "model.safetensors")).model.context_length == 500


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("CUDA out of memory. Tried to allocate 20 MiB", InsufficientMemoryError),
        ("Insufficient VRAM for model and cache", InsufficientMemoryError),
        ("Insufficient VRAM in split for model and cache", InsufficientMemoryError),
        ("Unknown architecture X in config.json", ModelFileError),
        ("", ModelFileError),
    ],
)
def test_what_the_library_says_to_a_load_is_told(load, which, fake, monkeypatch, words, error):
    model = fake.module.ExLlamaV2 if which == "exllamav2" else fake.module.Model
    monkeypatch.setattr(model, "failure", RuntimeError(words))
    with pytest.raises(error, match=words.replace(".", r"\.") or "RuntimeError"):
        load()


def test_a_model_for_fewer_tokens_than_a_page_is_refused(load, make_model):
    with pytest.raises(ModelFileError, match="made for 200 tokens, fewer than a page"):
        load(model_path=str(make_model("short", 200)))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused_by_it(load, folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=name.replace("model.", r"\*.")):
        load()


def test_a_model_without_a_folder_is_refused(load):
    with pytest.raises(ModelFileError, match="came without files"):
        load(model_path=None)


@pytest.mark.parametrize("backend", [Backend.CPU, Backend.METAL, Backend.ROCM])
def test_everything_but_cuda_is_refused(load, backend):
    with pytest.raises(EngineUnavailableError, match=f"by {backend}; use a GPU by cuda"):
        load(backend=backend)


def test_a_card_that_is_not_there_is_told(load, fake):
    fake.torch.cuda.devices = 0
    with pytest.raises(EngineUnavailableError, match="sees no GPU of the numbers 3; look with nvidia-smi"):
        load(device="GPU-3")


def test_a_library_that_cannot_be_imported_is_told():
    with pytest.raises(EngineUnavailableError, match="CUDA_HOME environment variable is not set"), importing("x"):
        raise OSError("CUDA_HOME environment variable is not set. Please set it")


@V2
class TestWithoutPagedAttention:
    @pytest.fixture
    def reason(self, load, caplog):
        """Loads with three slots and gives the reason in the log for the one that it has."""

        def reason():
            engine = load(slots=3)
            status = engine.status()
            (record,) = caplog.records
            assert (status.slots_total, engine.generator.max_batch_size, engine.generator.paged) == (1, 1, False)
            assert cache_tokens(engine) == 512
            assert any(stage.startswith("one request at a time: ") for stage in engine.told)
            return record.getMessage()

        return reason

    def test_flash_attn_is_missed(self, fake, reason, monkeypatch):
        fake.modules["exllamav2.attn"].has_flash_attn_with_paged = False
        assert "flash-attn 2.5.7 or later is not installed; pip install flash-attn" in reason()

    def test_flash_attn_is_too_old(self, fake, reason, monkeypatch):
        fake.modules["exllamav2.attn"].has_flash_attn_with_paged = False
        monkeypatch.setattr(metadata, "version", lambda name: {"flash-attn": "2.3.0"}[name])
        assert "flash-attn 2.3.0 is not usable, 2.5.7 or later is needed" in reason()

    def test_the_card_is_too_old(self, fake, reason):
        fake.torch.cuda.capability = (7, 5)
        assert "compute capability 8.0" in reason()

    def test_the_environment_says_so(self, fake, reason, monkeypatch):
        monkeypatch.setattr(fake.module.ExLlamaV2Config, "no_flash_attn", True)
        assert "EXLLAMA_NO_FLASH_ATTN" in reason()


@V2
def test_slots_are_no_more_than_the_library_can_batch(load):
    engine = load(slots=300, context_length=512)
    assert engine.status().slots_total == engine.generator.max_batch_size == 512 // 8
