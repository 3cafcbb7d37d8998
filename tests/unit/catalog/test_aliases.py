"""Short names of models."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rbee.catalog import Aliases, Resolver
from rbee.contract import ModelVariant, ModelVendor
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError


class Shelf(ModelVendor):
    """Has one model, by two names."""

    name = "shelf"

    def supports(self, ref):
        return ref in {"thing", "old-thing"} or ref.startswith("shelf:")

    def resolve(self, ref):
        raise AssertionError("an alias is set without asking for the model")

    def fetch(self, variant, destination, progress, cancel):
        raise AssertionError("nothing is fetched")

    def known(self):
        return (ModelVariant(model_id="shelf:thing", name="thing", vendor=self.name, format="blob"),)


class Hub(Shelf):
    """Would take any word."""

    name = "hub"
    names_anything = True

    def supports(self, ref):
        return True

    def known(self):
        raise RuntimeError("the hub is away")


@pytest.fixture
async def aliases(tmp_path: Path) -> AsyncIterator[Aliases]:
    made = Aliases(tmp_path / "aliases.db", Resolver([Shelf(), Hub()]))
    await made.open()
    yield made
    await made.close()


async def test_an_alias_is_set_changed_and_forgotten(aliases: Aliases) -> None:
    first, new = await aliases.put("fast", "org/repo:Q4_K_M")
    assert new
    assert aliases.target("fast") == "org/repo:Q4_K_M"
    second, new = await aliases.put("fast", "org/other")
    assert not new
    assert second.created_at == first.created_at < second.updated_at
    assert aliases.list() == [second]
    await aliases.remove("fast")
    assert aliases.target("fast") is None
    with pytest.raises(NotFoundError, match="no alias 'fast'"):
        await aliases.remove("fast")


async def test_aliases_outlive_the_program_and_are_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "aliases.db"
    before = Aliases(path, Resolver([]))
    await before.open()
    for name in ("b", "a"):
        await before.put(name, f"org/{name}")
    kept = before.list()
    await before.remove("b")
    await before.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    after = Aliases(path, Resolver([]))
    assert after.target("a") is None
    await after.open()
    assert after.list() == [kept[0]]
    await after.close()


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "-a", ".a", "a b", "é", "x" * 65, "a\n", "a..b"])
async def test_a_name_with_other_characters_is_refused(aliases: Aliases, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no alias") as caught:
        await aliases.put(name, "org/repo")
    assert caught.value.param == "name"


@pytest.mark.parametrize("name", ["a.gguf", "q4_k_m", "7b", "latest"])
async def test_a_name_that_means_something_else_is_refused(aliases: Aliases, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="taken for a file, a quantisation or a size"):
        await aliases.put(name, "org/repo")


@pytest.mark.parametrize("name", ["thing", "old-thing"])
async def test_a_vendors_own_name_cannot_be_taken(aliases: Aliases, name: str) -> None:
    with pytest.raises(ConflictError, match="a model of the vendor 'shelf' already"):
        await aliases.put(name, "org/repo")


@pytest.mark.parametrize(
    "model", ["org/repo", "/models/a.gguf", "file:/models/a", "thing", "x:1b", "hub.example/a/b:Q8_0"]
)
async def test_any_name_of_a_model_may_be_meant(aliases: Aliases, model: str) -> None:
    await aliases.put("fast", model)
    assert aliases.target("fast") == model


async def test_a_vendors_own_grammar_may_be_meant(tmp_path: Path) -> None:
    aliases = Aliases(tmp_path / "aliases.db", Resolver([Shelf()]))
    await aliases.open()
    await aliases.put("slow", "shelf:thing?delay=5")
    assert aliases.target("slow") == "shelf:thing?delay=5"
    with pytest.raises(InvalidRequestError, match="cannot be printed"):
        await aliases.put("slow", "shelf:\n")
    with pytest.raises(InvalidRequestError, match="did you mean 'org/repo:Q4'"):
        await aliases.put("slow", "org/repo@:Q4")
    await aliases.close()


@pytest.mark.parametrize("model", ["./a.gguf", "../a", "~/a.gguf", "a.gguf", "file:a"])
async def test_a_path_that_depends_on_the_folder_is_refused(aliases: Aliases, model: str) -> None:
    with pytest.raises(InvalidRequestError, match="give the absolute path") as caught:
        await aliases.put("fast", model)
    assert caught.value.param == "model"


async def test_an_alias_never_leads_to_another(aliases: Aliases) -> None:
    await aliases.put("fast", "word")
    with pytest.raises(ConflictError, match="'fast' is an alias itself; let 'quick' stand for 'word'"):
        await aliases.put("quick", "fast")
    with pytest.raises(ConflictError, match="'fast' stands for a model 'word'"):
        await aliases.put("word", "org/repo")
    with pytest.raises(ConflictError, match="stand for itself"):
        await aliases.put("self", "self")
    with pytest.raises(ConflictError, match="'fast' is an alias itself; let 'quick' stand for 'word'"):
        await aliases.put("quick", "fast:latest")
    await aliases.put("large", "other:8b")
    with pytest.raises(ConflictError, match="'large' stands for a model 'other'"):
        await aliases.put("other", "org/repo")
    assert [alias.name for alias in aliases.list()] == ["fast", "large"]


async def test_an_alias_may_be_short_for_one_size_of_what_it_is_called(aliases: Aliases) -> None:
    for size in ("8b", "70b"):
        await aliases.put("llama", f"llama:{size}")
        assert aliases.target("llama") == f"llama:{size}"


async def test_a_new_alias_does_not_hide_a_model_that_is_in_the_colony(tmp_path: Path) -> None:
    here: dict[str, str] = {}
    aliases = Aliases(tmp_path / "aliases.db", Resolver([]), here.get)
    await aliases.open()
    await aliases.put("old", "org/a")
    here |= {"old": "on a machine of the colony", "new": "that a worker serves"}
    with pytest.raises(ConflictError, match="'new' is a model that a worker serves already; take another alias"):
        await aliases.put("new", "org/b")
    # One that was there before can still be changed.
    await aliases.put("old", "org/b")
    await aliases.close()


async def test_two_at_once_do_not_make_a_chain_between_them(aliases: Aliases) -> None:
    done = await asyncio.gather(aliases.put("a", "b"), aliases.put("b", "c"), return_exceptions=True)
    assert sorted(isinstance(one, ConflictError) for one in done) == [False, True]


async def test_there_is_a_most(aliases: Aliases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.catalog.aliases._MOST", 2)
    await aliases.put("a", "org/a")
    await aliases.put("b", "org/b")
    with pytest.raises(ConflictError, match="2 aliases, which is the most"):
        await aliases.put("c", "org/c")
    await aliases.put("a", "org/d")
