"""What a name means among models that are there."""

from __future__ import annotations

import pytest
from rbee.catalog.matching import called, several
from rbee.contract import ModelVariant

SUM = "a" * 64
MODELS = tuple(
    ModelVariant(model_id=model_id, name=name, vendor="v", format="gguf")
    for model_id, name in (
        ("hf:o/m:Q4_0", "o/m:Q4_0"),
        ("hf:o/m:Q8_0", "o/m:Q8_0"),
        ("hf:o/m@dev:Q8_0", "o/m@dev:Q8_0"),
        ("demo:tiny:Q8_0", "demo"),
        ("shop:tiny:Q8_0", "demo"),
        ("file:/m.gguf", "/m.gguf"),
        (f"https://h.example/m.gguf#sha256={SUM}", "m"),
        ("demo", "odd"),
    )
)

CASES = (
    ("hf:o/m:Q8_0", ["hf:o/m:Q8_0"]),
    ("o/m:q8_0", ["hf:o/m:Q8_0"]),
    ("o/m", ["hf:o/m:Q4_0", "hf:o/m:Q8_0"]),
    ("o/m@dev", ["hf:o/m@dev:Q8_0"]),
    ("demo", ["demo"]),
    ("tiny", ["demo:tiny:Q8_0", "shop:tiny:Q8_0"]),
    ("shop:tiny", ["shop:tiny:Q8_0"]),
    ("file:/m.gguf", ["file:/m.gguf"]),
    (f"https://h.example/m.gguf#sha256={'b' * 64}", []),
    ("O/m", []),
    ("other:tiny", []),
    ("no name at all/", []),
)


@pytest.mark.parametrize(("name", "meant"), CASES)
def test_the_most_exact_reading_of_a_name_counts(name: str, meant: list[str]) -> None:
    assert [variant.model_id for variant in called(name, MODELS)] == meant


def test_one_short_name_of_several_means_all() -> None:
    assert [variant.model_id for variant in called("demo", MODELS[:-1])] == ["demo:tiny:Q8_0", "shop:tiny:Q8_0"]


def test_who_must_name_one_of_many_is_not_told_all() -> None:
    told = several("r", [f"v:{number}" for number in range(25)], "hive 'a'")
    assert "several models of hive 'a': 'v:0', 'v:1'" in told
    assert "'v:19' and 5 more. Name one" in told
