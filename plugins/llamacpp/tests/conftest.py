"""What all tests of this plugin share: a real, small model."""

from pathlib import Path

import pytest
from rbee.contract import LoadSpec, ModelVariant
from rbee_llamacpp import LlamaCppEngine

MODEL = Path(__file__).parents[2] / "demo" / "rbee_demo" / "data" / "rbee-tiny-q8_0.gguf"


@pytest.fixture
def model():
    """The GGUF file that lies in the demo vendor's folder of this repository."""
    assert MODEL.is_file(), f"{MODEL} is missing; these tests run a real model and are never skipped"
    return MODEL


@pytest.fixture
def make_spec(model):
    """Makes a load specification of `model`, with two slots and one thread unless told otherwise."""

    def make(**changes):
        variant = ModelVariant(model_id="demo:rbee-tiny:Q8_0", name="demo", vendor="demo", format="gguf")
        facts = {"model_id": variant.model_id, "model_path": str(model), "variant": variant, "slots": 2}
        return LoadSpec(**{**facts, **changes})

    return make


@pytest.fixture
def load_spec(make_spec):
    return make_spec()


@pytest.fixture
def engine():
    engine = LlamaCppEngine()
    yield engine
    engine.stop()
