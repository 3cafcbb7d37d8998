"""What this engine says."""

from __future__ import annotations

from rbee.contract import LoadSpec, Sampling, TokenRequest
from rbee_example.engine import ExampleEngine
from rbee_example.vendor import ExampleVendor


def answer(prompt: str, **sampling) -> str:
    (variant,) = ExampleVendor().resolve("example:song")
    engine = ExampleEngine()
    spec = LoadSpec(model_id=variant.model_id, model_path=variant.in_place, variant=variant)
    tokenizer = engine.load(spec, lambda stage: None).tokenizer
    engine.add(
        TokenRequest(
            request_id="r", prompt=tuple(tokenizer.encode(prompt)), max_tokens=40, sampling=Sampling(**sampling)
        )
    )
    tokens = [engine.step()[0].token for _ in range(40)]
    return b"".join(tokenizer.piece(token) for token in tokens).decode("utf-8", "replace")


def test_it_goes_on_in_the_manner_of_its_text():
    assert answer("R", temperature=0).startswith("ow")


def test_a_seed_repeats_an_answer_and_another_one_does_not():
    assert answer("R", seed=1) == answer("R", seed=1) != answer("R", seed=2)


def test_a_small_temperature_is_the_likeliest_and_a_large_one_is_no_trouble():
    for temperature in (5e-324, 1e-9, 1e-3):
        assert answer("R", temperature=temperature, seed=1).startswith("ow")
    assert answer("R", temperature=2.0, seed=1)
