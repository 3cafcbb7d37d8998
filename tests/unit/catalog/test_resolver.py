"""From what a person types to artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from rbee.catalog import Resolver
from rbee.contract import CancelToken, FetchProgress, ModelVariant, ModelVendor
from rbee.contract.errors import InvalidRequestError, ModelNotFoundError, PermissionDeniedError, UnreachableError


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


class DownVendor(ModelVendor):
    """Takes every name; its source does not answer."""

    name = "down"

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        raise UnreachableError(f"down does not answer for {ref!r}")

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("nothing of it can be fetched")


async def test_a_vendor_that_cannot_be_reached_hides_no_other(shelf, sulking) -> None:
    variant = shelf.put("m", {})
    assert list(await Resolver([DownVendor(), shelf]).resolve("m")) == [variant]
    with pytest.raises(UnreachableError, match="down does not answer for 'n'"):
        await Resolver([sulking, DownVendor(), shelf]).resolve("n")


async def test_whatever_anybody_has_published_is_not_asked_for_by_a_stranger(shelf, sulking, monkeypatch) -> None:
    monkeypatch.setattr(DownVendor, "names_anything", True)
    variant = shelf.put("m", {})
    resolver = Resolver([DownVendor(), shelf])
    assert list(await resolver.resolve("m", trusted=False)) == [variant], "from a vendor of the operator's own"
    with pytest.raises(PermissionDeniedError, match=r"pull it first \(`rbee pull n`\), or send the token"):
        await resolver.resolve("n", trusted=False)
    shelf.put("tinymodel", {})
    with pytest.raises(PermissionDeniedError, match=r"Did you mean 'tinymodel'\?"):
        await resolver.resolve("tinymodle", trusted=False)
    with pytest.raises(UnreachableError):
        await resolver.resolve("n")


async def test_files_are_not_looked_at_for_a_stranger(shelf, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "names_files", True)
    shelf.put("m", {})
    with pytest.raises(PermissionDeniedError, match="names a file"):
        await Resolver([shelf]).resolve("m", trusted=False)
    assert shelf.resolved == []


@pytest.mark.parametrize("ref", ["a/b/c/d", "hf:", "org/repo@"])
async def test_a_form_that_nobody_could_mean_is_told_as_such(shelf, ref: str) -> None:
    with pytest.raises(InvalidRequestError):
        await Resolver([]).resolve(ref)
    assert shelf.resolved == []
