"""What all tests of this plugin share: a folder that looks like a model, and libraries that look like the real ones."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rbee.contract import Availability, Backend, LoadSpec, ModelVariant
from rbee.contract.engine_options import checked_options
from rbee_exllamav2 import ExLlamaV2Engine, ExLlamaV3Engine, engine
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

sys.path.insert(0, str(Path(__file__).parent))

import fake_v2
import fake_v3
from toy import FakeTorch

END = "<|im_end|>"


def write_model(folder: Path, positions: int = 2048) -> Path:
    """Bytes as tokens and a token for the end; the weights are one number."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    library = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(END, special=True)])
    library.save(str(folder / "tokenizer.json"))
    told = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": positions, "vocab_size": 257}
    (folder / "config.json").write_text(json.dumps(told | {"eos_token_id": library.token_to_id(END)}))
    head = b'{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + b"\0\0")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model")


@pytest.fixture
def make_model(tmp_path):
    """Makes another folder, of a name and a number of positions."""
    return lambda name, positions: write_model(tmp_path / name, positions)


@pytest.fixture(params=["exllamav2", "exllamav3"])
def which(request):
    """Both engines, one after the other."""
    return request.param


@pytest.fixture
def engine_class(which):
    return {"exllamav2": ExLlamaV2Engine, "exllamav3": ExLlamaV3Engine}[which]


@pytest.fixture
def make_spec(folder, engine_class):
    """Makes a load specification, with two slots unless told otherwise; options as a person gives them."""

    def make(options=None, **changes):
        path = changes.pop("model_path", str(folder))
        variant = ModelVariant(model_id="file:toy", name="toy", vendor="local", format="safetensors")
        facts = {"device": "GPU-0", "backend": Backend.CUDA, "slots": 2, "context_length": 500}
        chosen = checked_options(engine_class.name, engine_class.options, options or {})
        return LoadSpec(model_id="file:toy", model_path=path, variant=variant, options=chosen, **{**facts, **changes})

    return make


@pytest.fixture
def load_spec(make_spec):
    return make_spec()


@pytest.fixture
def fake(which, monkeypatch):
    """The library of the engine under test, put where the real one would be imported from.

    Attributes: `torch`, and `modules` by name.
    """
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    torch = FakeTorch()
    module = {"exllamav2": fake_v2, "exllamav3": fake_v3}[which]
    made = module.modules(torch)
    for name, one in made.items():
        monkeypatch.setitem(sys.modules, name, one)
    for late in ("rbee_exllamav2.v2_filter", "rbee_exllamav2.v3_parts"):
        monkeypatch.delitem(sys.modules, late, raising=False)
    monkeypatch.setattr(engine, "availability", lambda _library: Availability(available=True, version="0"))
    return SimpleNamespace(torch=torch, modules=made, module=module)


@pytest.fixture
def loaded(engine_class, fake, load_spec):
    """The engine with its model, and `generator`, the library's."""
    made = engine_class()
    made.told = []
    made.model = made.load(load_spec, made.told.append)
    made.generator = made._generation.generator
    yield made
    made.unload()
