"""From what a person types to artefacts."""

from __future__ import annotations

import pytest
from rbee.catalog import Resolver
from rbee.contract.errors import InvalidRequestError, ModelNotFoundError


async def test_the_first_vendor_that_knows_a_name_answers(shelf, sulking) -> None:
    variant = shelf.put("m", {"a": b""})
    assert list(await Resolver([sulking, shelf]).resolve("m")) == [variant]


async def test_a_vendor_is_asked_only_for_names_of_its_grammar(shelf) -> None:
    with pytest.raises(ModelNotFoundError):
        await Resolver([shelf]).resolve("org/m")
    assert shelf.resolved == []


async def test_an_unknown_name_suggests_the_nearest(shelf) -> None:
    shelf.put("tinymodel", {})
    with pytest.raises(ModelNotFoundError, match=r"'tinymodle'.*Did you mean 'tinymodel'\?"):
        await Resolver([shelf]).resolve("tinymodle")


async def test_a_name_like_no_other_lists_what_there_is(shelf) -> None:
    shelf.put("b", {})
    shelf.put("a", {})
    with pytest.raises(ModelNotFoundError, match=r"Known here: a, b\."):
        await Resolver([shelf]).resolve("zzzzzz")


async def test_without_vendors_nothing_is_known() -> None:
    with pytest.raises(ModelNotFoundError, match="'m'"):
        await Resolver([]).resolve("m")


async def test_a_vendors_own_words_are_kept(sulking) -> None:
    with pytest.raises(ModelNotFoundError, match="sulking has no 'm'"):
        await Resolver([sulking]).resolve("m")


@pytest.mark.parametrize("ref", ["", "x" * 4097, "line\nbreak", "nul\0"])
async def test_an_unusable_name_reaches_no_vendor(shelf, ref: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await Resolver([shelf]).resolve(ref)
    assert caught.value.param == "model"
    assert shelf.resolved == []


def test_a_vendor_whose_list_is_broken_does_not_hide_the_others(shelf, sulking, caplog) -> None:
    variant = shelf.put("m", {})
    assert Resolver([sulking, shelf]).known() == [variant]
    assert "'sulking'" in caplog.text


def test_a_vendor_is_found_by_name(shelf) -> None:
    assert Resolver([shelf]).vendor("shelf") is shelf
    with pytest.raises(ModelNotFoundError, match="'moon'"):
        Resolver([shelf]).vendor("moon")
