"""What lies where."""

from __future__ import annotations

from typing import Any

from rbee.contract import ModelFile, ModelVariant
from rbee.contract.figures import ModelFigures
from rbee.contract.wire import HeldModel
from rbee.queen import repositories
from rbee.queen.held import HeldIndex


def held(word: str, size_bytes: int = 1, figures: ModelFigures | None = None, **more: Any) -> HeldModel:
    files = (ModelFile(name="f", size_bytes=size_bytes),)
    fields = {"model_id": f"v:{word}", "name": word} | more
    return HeldModel(variant=ModelVariant(vendor="v", format="gguf", files=files, **fields), key=word, figures=figures)


def names(index: HeldIndex) -> list[str]:
    return sorted(variant.model_id for variant in index.models())


def test_a_list_replaces_the_one_before() -> None:
    index = HeldIndex()
    index.put("h", [held("a"), held("b")])
    index.put("i", [held("b")])
    assert (names(index), sorted(index.holders("v:b")), sorted(index.on("h"))) == (
        ["v:a", "v:b"],
        ["h", "i"],
        ["v:a", "v:b"],
    )
    before = index.changes
    index.put("h", [held("c")])
    assert index.changes > before
    assert names(index) == ["v:b", "v:c"]
    assert [index.knows(name) for name in ("a", "v:a", "b", "v:c")] == [False, False, True, True]
    index.discard("h")
    index.discard("i")
    index.discard("nobody")
    assert (names(index), index.hives(), index.called("b"), index.on("h")) == ([], [], (), {})
    assert not index._called
    assert not index._holders


def test_one_short_name_of_several_models_means_all_the_largest_first() -> None:
    index = HeldIndex()
    index.put("h", [held("small", 1, name="m"), held("large", 9, name="m")])
    assert [variant.model_id for variant in index.called("m")] == ["v:large", "v:small"]
    index.put("h", [held("small", 1, name="m")])
    assert [variant.model_id for variant in index.called("m")] == ["v:small"]


def test_a_name_that_changes_on_one_of_two_hives_leaves_the_other_one_its_own() -> None:
    index = HeldIndex()
    index.put("h", [held("a", name="old")])
    index.put("i", [held("a", name="new")])
    assert {name: len(index.called(name)) for name in ("old", "new", "v:a")} == {"old": 1, "new": 1, "v:a": 1}
    index.discard("i")
    index.discard("h")
    assert not index._called


def test_figures_are_those_of_whoever_has_looked() -> None:
    index = HeldIndex()
    index.put("h", [held("a")])
    assert index.figures("v:a") is None
    index.put("i", [held("a", figures=ModelFigures(layers=3))])
    assert index.figures("v:a") == ModelFigures(layers=3)
    assert index.figures("v:b") is None


def test_a_less_exact_name_leads_to_what_agrees_with_all_that_it_says() -> None:
    index = HeldIndex()
    model_ids = ("hf:o/m:Q4_0", "hf:o/m@main:Q4_0", "hf:o/m::x.gguf", "demo:rbee-tiny:Q8_0", "file:/m.gguf", "\x01")
    index.put("h", [held(model_id, model_id=model_id) for model_id in model_ids])

    def meant(name: str) -> list[str]:
        return [variant.model_id for variant in index.meant(name)]

    assert meant("o/m") == ["hf:o/m::x.gguf", "hf:o/m:Q4_0"]
    assert meant("o/m:q4_0") == ["hf:o/m:Q4_0"]
    assert meant("hf:o/m@main") == ["hf:o/m@main:Q4_0"]
    assert meant("rbee-tiny") == ["demo:rbee-tiny:Q8_0"]
    assert [meant(name) for name in ("other:rbee-tiny", "/m.gguf", "O/m", "not a name at all/")] == [[], [], [], []]


def test_a_hive_that_tells_of_one_model_twice_has_it_once() -> None:
    index = HeldIndex()
    index.put("h", [held("a", name="n1"), held("a", name="n2")])
    assert [index.knows(name) for name in ("n1", "n2", "v:a")] == [True, False, True]
    assert [variant.name for variant in index.called("n1")] == ["n1"]
    index.discard("h")
    assert not index.knows("n1")
    assert index.called("n1") == index.meant("a") == ()


def test_a_less_exact_name_is_looked_up_without_reading_every_models_name(monkeypatch) -> None:
    index = HeldIndex()
    index.put("h", [held(str(number), model_id=f"hf:o/m{number}:Q4_0") for number in range(50)])
    parsed: list[str] = []
    real = repositories.parse_ref
    monkeypatch.setattr(repositories, "parse_ref", lambda text: parsed.append(text) or real(text))
    assert [variant.model_id for variant in index.meant("o/m7")] == ["hf:o/m7:Q4_0"]
    assert parsed == ["o/m7"]
    index.discard("h")
    assert not index._repositories._refs
    assert not index._repositories._keys
