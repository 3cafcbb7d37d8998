"""What all tests of this plugin share: a real, small model on the processor."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract import LoadSpec, ModelVariant, Sampling, TokenRequest
from rbee.testing.models import shared_models
from rbee_mlx.availability import availability


@pytest.fixture(scope="session")
def models():
    return shared_models(Path(__file__))


@pytest.fixture
def make_spec(models):
    """Makes a load specification of rbee-tiny in F16, with two slots and one thread unless told otherwise."""
    if not (found := availability()).available:
        pytest.skip(found.reason)

    def make(**changes):
        variant = ModelVariant(model_id="shelf:rbee-tiny", name="tiny", vendor="shelf", format="safetensors")
        facts = {"model_id": variant.model_id, "model_path": str(models / "hf"), "variant": variant, "slots": 2}
        return LoadSpec(**{**facts, **changes})

    return make


class Driver:
    """An engine with a model, and what the host does with it."""

    def __init__(self, engine, spec):
        self.engine = engine
        self.model = engine.load(spec, lambda stage: None)
        self.tokenizer = self.model.tokenizer
        self.number = 0

    def request(self, prompt, *, max_tokens=24, **fields):
        self.number += 1
        sampling = fields.pop("sampling", Sampling(temperature=0))
        tokens = tuple(self.tokenizer.encode(prompt)) if isinstance(prompt, str) else tuple(prompt)
        return TokenRequest(
            request_id=f"r{self.number}", prompt=tokens, max_tokens=max_tokens, sampling=sampling, **fields
        )

    def run(self, *requests):
        """Events of each request, in the order given, all of them side by side."""
        for request in requests:
            self.engine.add(request)
        events = {request.request_id: [] for request in requests}
        counts = dict.fromkeys(events, 0)
        left = set(events)
        while left:
            for event in self.engine.step():
                name = event.request_id
                assert name in left
                events[name].append(event)
                counts[name] += event.token is not None
                ended = event.token in self.tokenizer.ends
                if event.finish is not None:
                    left.discard(name)
                elif ended:
                    left.discard(name)
                    self.engine.remove(name)
        return [events[request.request_id] for request in requests]

    def tokens(self, *requests):
        return [[event.token for event in events if event.token is not None] for events in self.run(*requests)]

    def text(self, tokens):
        kept = [token for token in tokens if token not in self.tokenizer.control]
        return b"".join(map(self.tokenizer.piece, kept)).decode()


def chat(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def driver(make_spec):
    from rbee_mlx import MlxEngine

    made = []

    def make(**changes):
        made.append(Driver(MlxEngine(), make_spec(**changes)))
        return made[-1]

    yield make
    for one in made:
        one.engine.unload()
